// The vision-language model: vision tower, connector, language model.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "model/adapters/adapters.h"
#include "model/connector.h"
#include "model/language_model.h"
#include "model/vision_tower.h"

namespace longsight::model {

// Whole values of parameters, for what writes or looks at them: each holds until the next is asked for.
using ValueOf = std::function<Tensor(ParameterId)>;

// A model: its shape and its parameters. Registered by the constructor, not yet allocated.
class Vlm {
 public:
  explicit Vlm(ModelConfig config, const AdapterConfig& adapters = {});
  Vlm(const Vlm&) = delete;
  Vlm& operator=(const Vlm&) = delete;

  const ModelConfig& config() const { return config_; }
  const AdapterConfig& adapters() const { return adapters_; }
  ParameterRegistry& parameters() { return parameters_; }
  const ParameterRegistry& parameters() const { return parameters_; }
  const ModelIds& ids() const { return ids_; }
  const VisionTower& vision() const { return vision_; }
  const Connector& connector() const { return connector_; }
  const LanguageModel& language() const { return language_; }
  // Of parameters that every rank holds.
  ValueOf values() const {
    return [this](ParameterId id) { return parameters_.value(id); };
  }

  // The name of a parameter in the file it was loaded from; its canonical name if it came from nowhere.
  const std::string& name_in_file(ParameterId id) const;
  void set_name_in_file(ParameterId id, std::string name) { file_names_[id] = std::move(name); }

 private:
  ModelConfig config_;
  AdapterConfig adapters_;
  ParameterRegistry parameters_;
  ModelIds ids_;
  std::map<ParameterId, std::string> file_names_;
  VisionTower vision_;
  Connector connector_;
  LanguageModel language_;
};

}  // namespace longsight::model
