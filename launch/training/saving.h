// Writes the model that is being trained into the run folder: saves on the way, adapters and model at the
// end.
#pragma once

#include "launch/run_folder.h"
#include "launch/run_model.h"

namespace longsight::launch {

// Of rank 0. Refers to the configuration and the model.
class Saver {
 public:
  Saver(const LoadedConfig& loaded, const RunModel& run) : loaded_(loaded), run_(run) {}

  // RUN/saves/step-N: the model, or its adapters where it has some, as nothing else has changed then.
  void save_step(const RunFolder&, i64 step) const;
  // RUN/model, and RUN/adapter where there are adapters, which are merged into the model.
  void save_end(const RunFolder&) const;

 private:
  void write_model(const std::string& folder) const;
  void write_adapter(const std::string& folder) const;

  const LoadedConfig& loaded_;
  const RunModel& run_;
};

}  // namespace longsight::launch
