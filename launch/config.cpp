#include "launch/config.h"

#include <algorithm>

#include "launch/samples/sample_order.h"

namespace longsight::launch {
namespace {

constexpr double kMostFloor = 1e6;  // s of train.watchdog.floor; twelve days

void check_sources(const YamlDocument& doc, const char* key, const std::vector<DataSource>& sources) {
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const DataSource& s = sources[i];
    const std::string where = fmt::format("{}.{}", key, i);
    const bool tensors = !s.tensors.empty(), shards = !s.webdataset.empty();
    const int kinds =
        !s.messages.empty() + !s.llava.empty() + !s.sharegpt.empty() + !s.text.empty() + shards + tensors;
    doc.require_at(kinds == 1, where,
                   "name one of messages: FILE.jsonl, llava: FILE, sharegpt: FILE, text: FILE, "
                   "webdataset: [SHARD.tar, ...], tensors: [FILE.safetensors, ...]");
    doc.require_at(s.images.empty() || !(tensors || shards || !s.text.empty()), where + ".images",
                   "only messages, llava and sharegpt have a folder of images");
    doc.require_at(!s.sharegpt.empty() || same_fields(s.tags, data::ConversationTags{}), where + ".tags",
                   "only sharegpt has tags");
    doc.require_at(!tensors || s.ignore.empty(), where + ".ignore", "ready batches have no records");
    doc.require_at(s.weight.value_or(1) > 0, where + ".weight", "{} must be positive", s.weight.value_or(1));
    doc.require_at(!s.samples || *s.samples > 0, where + ".samples", "{} must be positive",
                   s.samples.value_or(0));
    doc.require_at(!tensors || !s.samples, where + ".samples", "ready batches are taken whole");
    doc.require_at(!tensors || sources.size() == 1, where, "tensors cannot be mixed with other data");
  }
}

// They are told apart by name, in eval.jsonl and by output.keep_best.
void check_held_out_names(const YamlDocument& doc, const Config& c) {
  for (std::size_t i = 0; i < c.data.train.size(); ++i) {
    doc.require_at(c.data.train[i].name.empty(), fmt::format("data.train.{}.name", i),
                   "only the sets of data.eval have names");
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < c.data.eval.size(); ++i) {
    doc.require_at(!c.data.eval[i].weight, fmt::format("data.eval.{}.weight", i),
                   "a held-out set is read whole; only the sets of data.train have weights");
    const std::string name = held_out_name(c.data.eval[i]);
    doc.require_at(std::find(names.begin(), names.end(), name) == names.end(), fmt::format("data.eval.{}", i),
                   "another held-out set is called \"{}\" too: give one a name: TEXT", name);
    names.push_back(name);
  }
  doc.require_at(c.output.keep_best.empty() || !names.empty(), "output.keep_best",
                 "\"{}\" is no held-out set: data.eval has none", c.output.keep_best);
  if (!c.output.keep_best.empty()) doc.require_one_of("output.keep_best", c.output.keep_best, names);
}

void check_model(const YamlDocument& doc, const ModelSection& m) {
  doc.require_at(m.from.empty() || m.config.empty(), "model",
                 "name either from: FOLDER or config: FILE, not both");
  if (!m.of_parts()) {
    doc.require_at(m.connector.empty(), "model.connector",
                   "a connector of its own belongs between vision_from: FOLDER and language_from: FOLDER");
    return;
  }
  doc.require_at(m.from.empty() && m.config.empty(), "model",
                 "vision_from and language_from make a model of two; leave from and config out");
  doc.require_at(!m.vision_from.empty() && !m.language_from.empty(), "model",
                 "vision_from and language_from belong together: name both folders");
  doc.require_one_of("model.connector", m.connector.empty() ? "new" : m.connector, {"new"});
  doc.require_at(m.tokenizer.empty(), "model.tokenizer",
                 "the folder of model.language_from has its own tokenizer");
}

void check_adapters(const YamlDocument& doc, const ModelSection& m) {
  for (const auto& [key, layers] : {std::pair("model.train.vision_layers", m.train.vision_layers),
                                    {"model.train.language_layers", m.train.language_layers}})
    doc.require_at(layers.value_or(1) >= 1, key, "{} must be at least 1", layers.value_or(1));
  doc.require_at(m.train.vision || !m.train.vision_layers, "model.train.vision_layers",
                 "vision is not trained");
  doc.require_at(m.train.language || !m.train.language_layers, "model.train.language_layers",
                 "language is not trained");
  const LoraSection& lora = m.lora;
  doc.require_at(lora.rank >= 0, "model.lora.rank", "{} is negative", lora.rank);
  const bool train_alone = lora.train.empty() || !m.adapter.empty();
  doc.require_at(lora.rank > 0 || (lora.targets.empty() && train_alone && !lora.alpha && !lora.rslora &&
                                   lora.rank_pattern.empty() && lora.alpha_pattern.empty()),
                 "model.lora", "give a rank above 0");
  for (const auto& [glob, rank] : lora.rank_pattern)
    doc.require_at(rank > 0, "model.lora.rank_pattern", "{}: {} must be positive", glob, rank);
  for (const auto& [glob, alpha] : lora.alpha_pattern)
    doc.require_at(alpha > 0, "model.lora.alpha_pattern", "{}: {} must be positive", glob, alpha);
  doc.require_at(lora.rank == 0 || !lora.targets.empty(), "model.lora.targets",
                 "name the linear layers that get adapters, for example [\"*.q_proj\", \"*.v_proj\"]");
  doc.require_at(lora.alpha.value_or(1) > 0, "model.lora.alpha", "{} must be positive",
                 lora.alpha.value_or(1));
  doc.require_at(lora.rank == 0 || m.adapter.empty(), "model",
                 "name either lora (new adapters) or adapter (those of a folder), not both");
}

void check_values(const YamlDocument& doc, const Config& c) {
  check_model(doc, c.model);
  check_adapters(doc, c.model);
  const TrainSection& t = c.train;
  doc.require_at(t.tokens_per_step > 0, "train.tokens_per_step", "{} must be positive", t.tokens_per_step);
  doc.require_at(t.check_replicas >= 0, "train.check_replicas", "{} is negative", t.check_replicas);
  doc.require_one_of("train.guard.on_fault", t.guard.on_fault, {"stop", "skip", "rollback"});
  for (const auto& [key, most] :
       {std::pair("train.guard.skips_in_a_row", t.guard.skips_in_a_row),
        std::pair("train.guard.skips", t.guard.skips), std::pair("train.guard.rollbacks", t.guard.rollbacks)})
    doc.require_at(most >= 0, key, "{} is negative", most);
  doc.require_at(!t.steps || *t.steps >= 0, "train.steps", "{} is negative", t.steps.value_or(0));
  doc.require_at(!t.epochs || *t.epochs > 0, "train.epochs", "{} must be positive", t.epochs.value_or(0));
  doc.require_at(t.epochs.value_or(1) <= static_cast<double>(kMostSamples), "train.epochs",
                 "{} is more than {}", t.epochs.value_or(1), kMostSamples);
  doc.require_at(!t.steps || !t.epochs, "train", "name either steps or epochs, not both");
  doc.require_at(t.eval_every >= 0, "train.eval_every", "{} is negative", t.eval_every);
  doc.require_at(t.watchdog.floor >= 1 && t.watchdog.floor <= kMostFloor, "train.watchdog.floor",
                 "{} is not between 1 and {} seconds; enabled: false switches the watchdog off",
                 t.watchdog.floor, kMostFloor);
  doc.require_one_of("train.precision", t.precision, {"f32", "bf16"});
  const OptimizerSection& o = t.optimizer;
  doc.require_one_of("train.optimizer.schedule", o.schedule, {"constant", "cosine", "linear"});
  doc.require_at(o.lr >= 0, "train.optimizer.lr", "{} is negative", o.lr);
  doc.require_at(o.min_lr >= 0 && o.min_lr <= o.lr, "train.optimizer.min_lr", "{} is not between 0 and lr {}",
                 o.min_lr, o.lr);
  doc.require_at(o.warmup >= 0, "train.optimizer.warmup", "{} is negative", o.warmup);
  doc.require_at(o.betas.size() == 2, "train.optimizer.betas", "expected two numbers");
  for (double beta : o.betas)
    doc.require_at(beta >= 0 && beta < 1, "train.optimizer.betas", "{} is not in [0, 1)", beta);
  doc.require_at(o.eps > 0, "train.optimizer.eps", "{} must be positive", o.eps);
  doc.require_at(o.weight_decay >= 0, "train.optimizer.weight_decay", "{} is negative", o.weight_decay);
  doc.require_at(o.clip > 0, "train.optimizer.clip", "{} must be positive", o.clip);
  for (std::size_t i = 0; i < o.groups.size(); ++i) {
    const std::string key = fmt::format("train.optimizer.groups.{}", i);
    const OptimizerGroup& group = o.groups[i];
    doc.require_at(!group.parameters.empty(), key,
                   "name its parameters: vision, connector, language or a glob");
    doc.require_at(group.lr || group.weight_decay, key, "give an lr or a weight_decay");
    doc.require_at(group.lr.value_or(0) >= 0, key + ".lr", "{} is negative", group.lr.value_or(0));
    doc.require_at(!group.lr || o.lr > 0, key + ".lr",
                   "needs a train.optimizer.lr above 0, whose schedule it follows");
    doc.require_at(group.weight_decay.value_or(0) >= 0, key + ".weight_decay", "{} is negative",
                   group.weight_decay.value_or(0));
  }
  doc.require_at(c.data.augment.shift >= 0, "data.augment.shift", "{} is negative", c.data.augment.shift);
  doc.require_one_of("data.overlong", c.data.overlong, {"error", "drop", "shrink-images"});
  doc.require_one_of("data.bad", c.data.bad, {"error", "skip"});
  doc.require_at(c.data.max_tokens.value_or(1) > 0, "data.max_tokens", "{} must be positive",
                 c.data.max_tokens.value_or(1));
  check_sources(doc, "data.train", c.data.train);
  check_sources(doc, "data.eval", c.data.eval);
  check_held_out_names(doc, c);
  doc.require_at(c.memory.micro_batch_tokens.value_or(1) > 0, "memory.micro_batch_tokens",
                 "{} must be positive", c.memory.micro_batch_tokens.value_or(1));
  doc.require_at(c.output.save_every >= 0, "output.save_every", "{} is negative", c.output.save_every);
  doc.require_at(c.output.checkpoint_every >= 0, "output.checkpoint_every", "{} is negative",
                 c.output.checkpoint_every);
  doc.require_at(c.output.checkpoint_minutes >= 0, "output.checkpoint_minutes", "{} is negative",
                 c.output.checkpoint_minutes);
  doc.require_at(c.output.keep_every >= 0, "output.keep_every", "{} is negative", c.output.keep_every);
  doc.require_one_of("output.on_save_failure", c.output.on_save_failure, {"go_on", "stop"});
  doc.require_at(c.output.resume.is_auto() || !c.output.resume.value->empty(), "output.resume",
                 "auto, none or the folder of a checkpoint or run");
  if (!c.device.is_auto()) doc.require_one_of("device", *c.device.value, {"auto", "host", "cuda"});
  doc.require_at(c.output.keep >= 1, "output.keep", "{} must be at least 1", c.output.keep);
}

}  // namespace

LoadedConfig load_config(const std::string& path, const std::vector<std::string>& overrides) {
  LoadedConfig loaded{
      .document = path.empty() ? YamlDocument::read_text("", "command line") : YamlDocument::read_file(path),
      .config = {}};
  for (const std::string& assignment : overrides) loaded.document.apply_override(assignment);
  read_fields(loaded.document, loaded.config);
  check_values(loaded.document, loaded.config);
  return loaded;
}

}  // namespace longsight::launch
