#include "launch/run_model.h"

#include "launch/planning.h"
#include "model/checkpoint.h"
#include "runtime/base/log.h"

namespace longsight::launch {

RunModel open_run_model(const LoadedConfig& loaded, DType dtype, bool with_gradients) {
  const ModelSection& m = loaded.config.model;
  loaded.document.require_at(!m.from.empty() || !m.config.empty(), "model",
                             "name the model: from: FOLDER, or config: FILE for random weights");
  if (!m.from.empty()) {
    loaded.document.require_at(m.tokenizer.empty(), "model.tokenizer",
                               "the folder of model.from has its own tokenizer");
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
