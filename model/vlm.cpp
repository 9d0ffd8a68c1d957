#include "model/vlm.h"

#include "model/files/checkpoint.h"

namespace longsight::model {

namespace {

ModelIds register_all(const ModelConfig& config, const AdapterConfig& adapters, ParameterRegistry& registry) {
  ModelIds ids = register_parameters(config, registry);
  register_adapters(adapters, ids, registry);
  return ids;
}

ModelConfig untied(ModelConfig config) {
  untie(config);
  return config;
}

}  // namespace

Vlm::Vlm(ModelConfig config, const AdapterConfig& adapters)
    : config_(adapters.own_head ? untied(std::move(config)) : std::move(config)),
      adapters_(adapters),
      ids_(register_all(config_, adapters_, parameters_)),
      vision_(config_, ids_.vision),
      connector_(config_, ids_.connector),
      language_(config_, ids_.language) {}

const std::string& Vlm::name_in_file(ParameterId id) const {
  const auto found = file_names_.find(id);
  return found == file_names_.end() ? parameters_[id].name : found->second;
}

}  // namespace longsight::model
