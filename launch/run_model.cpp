#include "launch/run_model.h"

#include "launch/trainable.h"
#include "model/adapter_files.h"
#include "model/checkpoint.h"
#include "runtime/base/log.h"

namespace longsight::launch {

namespace {

void check_model_section(const LoadedConfig& loaded) {
  const ModelSection& m = loaded.config.model;
  loaded.document.require_at(!m.from.empty() || !m.config.empty(), "model",
                             "name the model: from: FOLDER, or config: FILE for random weights");
  loaded.document.require_at(m.from.empty() || m.tokenizer.empty(), "model.tokenizer",
                             "the folder of model.from has its own tokenizer");
  check_inputs(loaded);
}

}  // namespace

RunModel open_run_shape(const LoadedConfig& loaded) {
  check_model_section(loaded);
  const ModelSection& m = loaded.config.model;
  const bool pretrained = !m.from.empty();
  const model::ModelConfig config = model::read_config(pretrained ? m.from : m.config);
  auto model = std::make_unique<model::Vlm>(config, adapters_of(loaded, config, false));
  model->parameters().set_trainable(trainable(loaded, config));
  check_trainable(loaded, model->parameters());
  return {.model = std::move(model), .companions = pretrained ? m.from : m.tokenizer};
}

RunModel open_run_model(const LoadedConfig& loaded, DType dtype, bool with_gradients, bool random_b) {
  check_model_section(loaded);
  const ModelSection& m = loaded.config.model;
  const model::ModelConfig config = model::read_config(m.from.empty() ? m.config : m.from);
  const model::AdapterConfig adapters = adapters_of(loaded, config, random_b);
  if (!m.from.empty()) {
    auto model = model::load_model(m.from, {.dtype = dtype,
                                            .with_gradients = with_gradients,
                                            .trainable = trainable(loaded, config),
                                            .adapters = adapters,
                                            .adapter_folder = m.adapter,
                                            .seed = loaded.config.train.seed});
    check_trainable(loaded, model->parameters());
    return {.model = std::move(model), .companions = m.from};
  }
  auto model = std::make_unique<model::Vlm>(config, adapters);
  for (const std::string& warning : model->config().warnings) log_warn("{}", warning);
  model->parameters().set_trainable(trainable(loaded, config));
  check_trainable(loaded, model->parameters());
  model->parameters().allocate(dtype, with_gradients);
  model->parameters().initialise(loaded.config.train.seed);
  if (!m.adapter.empty()) model::load_adapter(*model, m.adapter);
  return {.model = std::move(model), .companions = m.tokenizer};
}

}  // namespace longsight::launch
