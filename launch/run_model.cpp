#include "launch/run_model.h"

#include "launch/planning.h"
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
  auto model = std::make_unique<model::Vlm>(model::read_config(pretrained ? m.from : m.config));
  model->parameters().set_trainable(trainable_parts(m.train));
  return {.model = std::move(model), .companions = pretrained ? m.from : m.tokenizer};
}

RunModel open_run_model(const LoadedConfig& loaded, DType dtype, bool with_gradients) {
  check_model_section(loaded);
  const ModelSection& m = loaded.config.model;
  if (!m.from.empty()) {
    return {.model = model::load_model(
                m.from,
                {.dtype = dtype, .with_gradients = with_gradients, .trainable = trainable_parts(m.train)}),
            .companions = m.from};
  }
  auto model = std::make_unique<model::Vlm>(model::read_config(m.config));
  for (const std::string& warning : model->config().warnings) log_warn("{}", warning);
  model->parameters().set_trainable(trainable_parts(m.train));
  model->parameters().allocate(dtype, with_gradients);
  model->parameters().initialise(loaded.config.train.seed);
  return {.model = std::move(model), .companions = m.tokenizer};
}

}  // namespace longsight::launch
