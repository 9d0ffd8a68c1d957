#include "launch/training/trainable.h"

#include <algorithm>
#include <charconv>

#include "model/adapters/adapter_files.h"
#include "runtime/base/glob.h"
#include "runtime/base/suggest.h"

namespace longsight::launch {
namespace {

bool any_matches(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(), [&](const auto& glob) { return glob_matches(glob, name); });
}

// The block's number in "<blocks>.<number>.rest"; -1: not a part of a block.
i64 block_of(const std::string& name, const std::string& blocks) {
  if (!name.starts_with(blocks + ".")) return -1;
  i64 number = -1;
  const char* begin = name.data() + blocks.size() + 1;
  std::from_chars(begin, name.data() + name.size(), number);
  return number;
}

bool part_trained(const TrainParts& train, const std::string& part) {
  return part == "vision" ? train.vision : part == "connector" ? train.connector : train.language;
}

// Whether a parameter lies in front of the blocks that are trained.
bool below_last_layers(const Parameter& p, const TrainParts& train, const model::ModelConfig& c) {
  if (p.part == "vision" && train.vision_layers) {
    const i64 block = block_of(p.name, c.vision.names.root + c.vision.names.blocks);
    const bool behind =
        p.name.starts_with(c.vision.names.root + c.vision.names.post_norm) && c.vision.post_norm;
    return block >= 0 ? block < c.vision_blocks_run() - *train.vision_layers : !behind;
  }
  if (p.part == "language" && train.language_layers) {
    const i64 block = block_of(p.name, c.text.names.blocks);
    return block >= 0 ? block < c.text.layers - *train.language_layers
                      : p.name.starts_with(c.text.names.embedding + ".");
  }
  return false;
}

bool group_matches(const OptimizerGroup& group, const Parameter& p) {
  return group.parameters == p.part || glob_matches(group.parameters, p.name);
}

std::vector<std::string> names_of(const ParameterRegistry& registry) {
  std::vector<std::string> names;
  for (const Parameter& p : registry.all()) names.push_back(p.name);
  return names;
}

}  // namespace

model::AdapterConfig adapters_of(const LoadedConfig& loaded, const model::ModelConfig& config,
                                 bool random_b) {
  const ModelSection& m = loaded.config.model;
  if (!m.adapter.empty()) return model::read_adapter_config(m.adapter, config);
  return {.rank = m.lora.rank,
          .alpha = m.lora.alpha.value_or(2 * static_cast<double>(m.lora.rank)),
          .targets = m.lora.targets,
          .random_b = random_b,
          .rslora = m.lora.rslora,
          .ranks = m.lora.rank_pattern,
          .alphas = m.lora.alpha_pattern};
}

std::function<bool(const Parameter&)> trainable(const LoadedConfig& loaded, const model::ModelConfig& config,
                                                const model::AdapterConfig& adapters) {
  const ModelSection& m = loaded.config.model;
  return [m, any = adapters.any(), saved = adapters.saved, config](const Parameter& p) {
    if (any_matches(m.freeze, p.name)) return false;
    if (any && !p.adapter)
      return any_matches(m.lora.train, p.name) ||
             std::find(saved.begin(), saved.end(), p.name) != saved.end();
    return part_trained(m.train, p.part) && !below_last_layers(p, m.train, config);
  };
}

void check_trainable(const LoadedConfig& loaded, const model::Vlm& model) {
  const ModelSection& m = loaded.config.model;
  const ParameterRegistry& registry = model.parameters();
  const auto check_layers = [&](const char* key, std::optional<i64> last, i64 layers) {
    loaded.document.require_at(last.value_or(0) <= layers, key,
                               "its last {} blocks, but this model has {} there: leave it out to train all",
                               last.value_or(0), layers);
  };
  check_layers("model.train.vision_layers", m.train.vision_layers,
               model.config().has_vision() ? model.config().vision.layers : 0);
  check_layers("model.train.language_layers", m.train.language_layers, model.config().text.layers);
  const std::vector<std::string> names = names_of(registry);
  const auto check_globs = [&](const std::string& key, const std::vector<std::string>& globs) {
    for (std::size_t i = 0; i < globs.size(); ++i) {
      loaded.document.require_at(std::any_of(names.begin(), names.end(),
                                             [&](const auto& name) { return glob_matches(globs[i], name); }),
                                 fmt::format("{}.{}", key, i), "\"{}\" matches no parameter{}", globs[i],
                                 did_you_mean(globs[i], names));
    }
  };
  check_globs("model.freeze", m.freeze);
  check_globs("model.lora.train", m.lora.train);
  const auto& groups = loaded.config.train.optimizer.groups;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto all = registry.all();
    loaded.document.require_at(
        std::any_of(all.begin(), all.end(), [&](const Parameter& p) { return group_matches(groups[i], p); }),
        fmt::format("train.optimizer.groups.{}.parameters", i), "\"{}\" matches no parameter{}",
        groups[i].parameters, did_you_mean(groups[i].parameters, names));
  }
  const auto all = registry.all();
  loaded.document.require_at(
      std::any_of(all.begin(), all.end(), [](const Parameter& p) { return p.used && p.trainable; }), "model",
      "nothing is trained: every part is frozen");
}

std::vector<parallel::ParameterOptions> optimizer_options(const LoadedConfig& loaded,
                                                          const ParameterRegistry& registry) {
  const OptimizerSection& o = loaded.config.train.optimizer;
  if (o.groups.empty()) return {};
  std::vector<parallel::ParameterOptions> options(static_cast<std::size_t>(registry.size()));
  for (const OptimizerGroup& group : o.groups) {
    for (ParameterId id = 0; id < registry.size(); ++id) {
      if (!group_matches(group, registry[id])) continue;
      parallel::ParameterOptions& own = options[static_cast<std::size_t>(id)];
      if (group.lr) own.lr_factor = *group.lr / o.lr;
      if (group.weight_decay) own.weight_decay = *group.weight_decay;
    }
  }
  return options;
}

}  // namespace longsight::launch
