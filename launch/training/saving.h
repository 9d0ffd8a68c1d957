// Writes the model that is being trained into the run folder: saves on the way, the best one, adapters and
// model at the end.
#pragma once

#include "launch/run_folder.h"
#include "launch/run_model.h"
#include "launch/training/side_files.h"
#include "parallel/sharded_parameters.h"

namespace longsight::launch {

// Every value of every parameter is a number: non_finite, with the first tensor that is not, so that no save
// of such a model is written. Collective over `world`; the same on every rank.
void require_finite_weights(const ParameterRegistry&, i64 step, parallel::ProcessGroup& world, Stream);

// Of rank 0. Refers to the configuration and the model, which is there already, and to the values that are
// lent to it while it is made and while it writes adapters or models. All that saves need besides the disk is
// made by the constructor: what is wrong with it is thrown there.
class Saver {
 public:
  Saver(const LoadedConfig& loaded, const RunModel& run, parallel::WholeValues& values);

  // cannot_write, with the figures, where the file system of the run folder has no room for the saves that
  // the run will keep, and `more` bytes.
  void require_space(i64 steps, i64 more) const;

  // RUN/saves/step-N: the model, or its adapters where it has some, with all that changed beside them.
  void save_step(RunFolder&, i64 step) const;
  // RUN/best, in the place of the one before: as the saves.
  void save_best(RunFolder&) const;
  // RUN/adapter; before they are merged. Nothing without adapters.
  void save_adapter(RunFolder&) const;
  // RUN/model; adapters have been merged.
  void save_model(RunFolder&) const;
  // After save_adapter and save_model: RUN/best is what they wrote.
  void save_end_as_best(RunFolder&) const;

 private:
  void write_model(const std::string& folder) const;
  void write_adapter(const std::string& folder) const;
  void write(const std::string& folder) const;  // what a save on the way holds
  i64 model_bytes() const;
  i64 save_bytes() const;

  model::ValueOf values() const;

  const LoadedConfig& loaded_;
  const RunModel& run_;
  parallel::WholeValues& values_;
  SideFiles model_files_, adapter_files_;
};

}  // namespace longsight::launch
