#include "launch/run_model.h"

#include "launch/training/trainable.h"
#include "model/adapters/adapter_files.h"
#include "model/files/checkpoint.h"
#include "model/files/parts.h"
#include "runtime/base/log.h"
#include "runtime/base/temporary_path.h"

namespace longsight::launch {

namespace {

void check_model_section(const LoadedConfig& loaded) {
  const ModelSection& m = loaded.config.model;
  loaded.document.require_at(
      !m.from.empty() || !m.config.empty() || m.of_parts(), "model",
      "name the model: from: FOLDER, or vision_from: and language_from: FOLDER, or config: "
      "FILE for random weights");
  loaded.document.require_at(m.from.empty() || m.tokenizer.empty(), "model.tokenizer",
                             "the folder of model.from has its own tokenizer");
  check_inputs(loaded);
}

model::PartFolders parts_of(const ModelSection& m) {
  return {.vision = m.vision_from, .language = m.language_from};
}

model::ModelConfig config_of(const ModelSection& m) {
  if (m.of_parts()) return compose_parts(parts_of(m));
  return model::read_config(m.from.empty() ? m.config : m.from);
}

// The folder beside a model of parts, which no folder has yet.
RunModel with_companions(std::unique_ptr<model::Vlm> model, const model::PartFolders& parts) {
  const auto folder = std::make_shared<const io::TemporaryFolder>(temporary_path() + "/longsight-parts");
  write_parts_files(parts, folder->path());
  return {.model = std::move(model), .companions = folder->path(), .composed = folder};
}

}  // namespace

model::WeightRules weight_rules(const LoadedConfig& loaded, const std::vector<std::string>& more_globs) {
  model::WeightRules rules{.allow_missing = loaded.config.model.allow_missing,
                           .seed = loaded.config.train.seed};
  rules.allow_missing.insert(rules.allow_missing.end(), more_globs.begin(), more_globs.end());
  return rules;
}

DType precision_of(const LoadedConfig& loaded) {
  return dtype_from_name(loaded.config.train.precision);
}

RunModel open_run_shape(const LoadedConfig& loaded) {
  check_model_section(loaded);
  const ModelSection& m = loaded.config.model;
  const model::ModelConfig config = config_of(m);
  const model::AdapterConfig adapters = adapters_of(loaded, config, false);
  auto model = std::make_unique<model::Vlm>(config, adapters);
  model->parameters().set_trainable(trainable(loaded, config, adapters));
  check_trainable(loaded, *model);
  check_adapter_form(*model);
  if (m.of_parts()) return with_companions(std::move(model), parts_of(m));
  return {.model = std::move(model), .companions = m.from.empty() ? m.tokenizer : m.from};
}

RunModel open_run_model(const LoadedConfig& loaded, DType dtype, bool with_gradients, bool random_b,
                        const Sharding& sharding) {
  check_model_section(loaded);
  const ModelSection& m = loaded.config.model;
  const model::ModelConfig config = config_of(m);
  const model::AdapterConfig adapters = adapters_of(loaded, config, random_b);
  if (m.config.empty()) {
    const model::LoadOptions options{.dtype = dtype,
                                     .with_gradients = with_gradients,
                                     .trainable = trainable(loaded, config, adapters),
                                     .rules = weight_rules(loaded),
                                     .adapters = adapters,
                                     .adapter_folder = m.adapter,
                                     .sharding = sharding};
    RunModel run = m.of_parts() ? with_companions(load_parts(parts_of(m), options), parts_of(m))
                                : RunModel{.model = model::load_model(m.from, options), .companions = m.from};
    check_trainable(loaded, *run.model);
    return run;
  }
  auto model = std::make_unique<model::Vlm>(config, adapters);
  for (const std::string& warning : model->config().warnings) log_warn("{}", warning);
  model->parameters().set_trainable(trainable(loaded, config, adapters));
  check_trainable(loaded, *model);
  const bool adapted = !m.adapter.empty();
  model->parameters().allocate(dtype, with_gradients, Backend::host, adapted ? Sharding{} : sharding);
  model->parameters().initialise(loaded.config.train.seed);
  if (adapted) {
    model::load_adapter(*model, m.adapter, m.config);
    model->parameters().shard(sharding);
  }
  return {.model = std::move(model), .companions = m.tokenizer};
}

}  // namespace longsight::launch
