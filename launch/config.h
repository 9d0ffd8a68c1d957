// The YAML configuration of a run. Each struct lists its fields once; reading, printing and comparing follow.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/base/yaml.h"
#include "runtime/data/image/image_options.h"
#include "runtime/data/records/conversations.h"

namespace longsight::launch {

struct TrainParts {
  bool vision = true, connector = true, language = true;
  std::optional<i64> vision_layers, language_layers;  // of a part that is trained: its last blocks only, and
                                                      // what is behind them
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("vision", s.vision);
    visit("connector", s.connector);
    visit("language", s.language);
    visit("vision_layers", s.vision_layers);
    visit("language_layers", s.language_layers);
  }
};

struct LoraSection {
  i64 rank = 0;                                 // 0: none
  std::optional<double> alpha;                  // default: twice the rank
  std::vector<std::string> targets;             // globs over names of linear layers
  std::vector<std::string> train;               // globs over parameters that are trained beside the adapters
  bool rslora = false;                          // scale alpha / sqrt(rank)
  std::map<std::string, i64> rank_pattern;      // by globs over names of linear layers
  std::map<std::string, double> alpha_pattern;  // the same
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("rank", s.rank);
    visit("alpha", s.alpha);
    visit("targets", s.targets);
    visit("train", s.train);
    visit("rslora", s.rslora);
    visit("rank_pattern", s.rank_pattern);
    visit("alpha_pattern", s.alpha_pattern);
  }
};

struct ModelSection {
  std::string from;                        // Hugging Face folder to start from; or
  std::string config;                      // config.json, for random weights, with
  std::string tokenizer;                   // a folder that has tokenizer.json; or
  std::string vision_from;                 // folder of a CLIP or SigLIP tower, with
  std::string language_from;               // a folder of a language model, and
  std::string connector;                   // between them: new
  std::vector<std::string> allow_missing;  // globs of tensors that need not be in the files
  TrainParts train;
  std::vector<std::string> freeze;  // globs over parameters that are not trained
  LoraSection lora;                 // new adapters; or
  std::string adapter;              // PEFT folder with adapters to go on from
  bool of_parts() const { return !vision_from.empty() || !language_from.empty(); }
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("from", s.from);
    visit("config", s.config);
    visit("tokenizer", s.tokenizer);
    visit("vision_from", s.vision_from);
    visit("language_from", s.language_from);
    visit("connector", s.connector);
    visit("allow_missing", s.allow_missing);
    visit("train", s.train);
    visit("freeze", s.freeze);
    visit("lora", s.lora);
    visit("adapter", s.adapter);
  }
};

// One data set, of exactly one kind.
struct DataSource {
  std::string name;                     // of a held-out set; empty: that of its file, without the ending
  std::string messages;                 // JSONL in OpenAI's style, or
  std::string llava;                    // JSON array (or JSONL) of conversations with "image", or
  std::string sharegpt;                 // of conversations with "images", or
  std::string text;                     // of texts without pictures, or
  std::vector<std::string> webdataset;  // tar shards, patterns, ranges, or
  std::vector<std::string> tensors;     // ready batches, one step each
  std::string images;                   // folder of the pictures; empty: that of the file
  data::ConversationTags tags;          // of sharegpt
  std::vector<std::string> ignore;      // keys of records that say nothing for training
  std::optional<double> weight;         // of samples drawn, relative to the others; none has one: all alike
  std::optional<i64> samples;           // only the first ones
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("name", s.name);
    visit("messages", s.messages);
    visit("llava", s.llava);
    visit("sharegpt", s.sharegpt);
    visit("text", s.text);
    visit("webdataset", s.webdataset);
    visit("tensors", s.tensors);
    visit("images", s.images);
    visit("tags", s.tags);
    visit("ignore", s.ignore);
    visit("weight", s.weight);
    visit("samples", s.samples);
  }
};

struct Augment {
  i64 shift = 0;  // pixels, at most, in each direction; less than a picture (or tile) has
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("shift", s.shift);
  }
};

struct DataSection {
  std::vector<DataSource> train, eval;
  Augment augment;
  std::string chat;                // template, NAME or FILE.jinja, instead of the model folder's
  std::string overlong = "error";  // what becomes of samples that are too long: error, drop, shrink-images
  std::string bad = "error";       // and of those that cannot be read: error, skip
  OrAuto<bool> decode_first;       // pictures, before step 1; auto: those that the index does not know
  std::optional<i64> max_tokens;   // of a sample; never more than train.tokens_per_step
  std::string index;               // folder with indices of the data (longsight data index --out)
  data::ImageOptions images;
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("train", s.train);
    visit("eval", s.eval);
    visit("augment", s.augment);
    visit("chat", s.chat);
    visit("images", s.images);
    visit("overlong", s.overlong);
    visit("bad", s.bad);
    visit("decode_first", s.decode_first);
    visit("max_tokens", s.max_tokens);
    visit("index", s.index);
  }
};

// Parameters that are optimised otherwise than the rest; of several groups that match the last one counts.
struct OptimizerGroup {
  std::string parameters;              // vision, connector, language, or a glob over names
  std::optional<double> lr;            // follows the schedule in the same proportion
  std::optional<double> weight_decay;  // of those that decay
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("parameters", s.parameters);
    visit("lr", s.lr);
    visit("weight_decay", s.weight_decay);
  }
};

struct OptimizerSection {
  double lr = 1e-3;
  double min_lr = 0;
  std::string schedule = "constant";  // constant, cosine, linear
  i64 warmup = 0;                     // steps
  std::vector<double> betas{0.9, 0.95};
  double eps = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;
  std::vector<OptimizerGroup> groups;
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("lr", s.lr);
    visit("min_lr", s.min_lr);
    visit("schedule", s.schedule);
    visit("warmup", s.warmup);
    visit("betas", s.betas);
    visit("eps", s.eps);
    visit("weight_decay", s.weight_decay);
    visit("clip", s.clip);
    visit("groups", s.groups);
  }
};

struct WatchdogSection {
  bool enabled = true;
  double floor = 600;  // s without progress that are never taken for a hang
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("enabled", s.enabled);
    visit("floor", s.floor);
  }
};

// What becomes of a step that went wrong.
struct GuardSection {
  std::string on_fault = "stop";  // stop, skip, rollback
  i64 skips_in_a_row = 3;         // steps without an update; one more ends the run
  i64 skips = 100;                // the same, of the whole run
  i64 rollbacks = 3;              // of one launch; one more ends it
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("on_fault", s.on_fault);
    visit("skips_in_a_row", s.skips_in_a_row);
    visit("skips", s.skips);
    visit("rollbacks", s.rollbacks);
  }
};

struct TrainSection {
  i64 tokens_per_step = 2048;
  std::optional<i64> steps;
  std::optional<double> epochs;
  i64 eval_every = 0;        // 0: only at the end
  i64 check_replicas = 100;  // steps between comparisons of the ranks' parameters; 0: only before the first
  GuardSection guard;
  OptimizerSection optimizer;
  std::string precision = "f32";  // or bf16: activations and the weights that layers compute with
  u64 seed = 1;
  WatchdogSection watchdog;
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("tokens_per_step", s.tokens_per_step);
    visit("steps", s.steps);
    visit("epochs", s.epochs);
    visit("eval_every", s.eval_every);
    visit("check_replicas", s.check_replicas);
    visit("guard", s.guard);
    visit("optimizer", s.optimizer);
    visit("precision", s.precision);
    visit("seed", s.seed);
    visit("watchdog", s.watchdog);
  }
};

struct TowerSection {
  OrAuto<std::string> attention;
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("attention", s.attention);
  }
};

struct FusionSection {
  OrAuto<std::string> exchange;
  OrAuto<std::string> split;
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("exchange", s.exchange);
    visit("split", s.split);
  }
};

struct RuleSection {
  std::string blocks, attention;
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("blocks", s.blocks);
    visit("attention", s.attention);
  }
};

struct ParallelSection {
  OrAuto<i64> sequence;
  TowerSection vision, language;
  FusionSection fusion;
  OrAuto<std::string> zero;
  std::vector<RuleSection> rules;
  std::string hardware;  // profile that plans are counted with; empty: one that is assumed
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("sequence", s.sequence);
    visit("vision", s.vision);
    visit("language", s.language);
    visit("fusion", s.fusion);
    visit("zero", s.zero);
    visit("rules", s.rules);
    visit("hardware", s.hardware);
  }
};

struct MemorySection {
  OrAuto<std::string> budget;  // none, or a size
  OrAuto<std::string> recompute;
  OrAuto<i64> micro_batch_tokens;
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("budget", s.budget);
    visit("recompute", s.recompute);
    visit("micro_batch_tokens", s.micro_batch_tokens);
  }
};

struct OutputSection {
  std::string dir;
  i64 save_every = 0;              // steps; a save and a checkpoint. 0: only at the end
  i64 checkpoint_every = 0;        // steps; checkpoints besides. 0: none
  double checkpoint_minutes = 10;  // longest time without a checkpoint; 0: any
  i64 keep = 2;                    // saves kept besides the final model, and checkpoints
  i64 keep_every = 0;              // steps; checkpoints that stay. 0: none
  std::string keep_best;           // held-out set whose loss says which save is kept in best/; empty: none
  std::string on_save_failure = "go_on";  // or stop: of a checkpoint, a save or a line that is not written
  OrAuto<std::string> resume;             // none, or a checkpoint
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("dir", s.dir);
    visit("save_every", s.save_every);
    visit("checkpoint_every", s.checkpoint_every);
    visit("checkpoint_minutes", s.checkpoint_minutes);
    visit("keep", s.keep);
    visit("keep_every", s.keep_every);
    visit("keep_best", s.keep_best);
    visit("on_save_failure", s.on_save_failure);
    visit("resume", s.resume);
  }
};

struct Config {
  ModelSection model;
  DataSection data;
  TrainSection train;
  ParallelSection parallel;
  MemorySection memory;
  OutputSection output;
  OrAuto<std::string> device;  // host, cuda
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("model", s.model);
    visit("data", s.data);
    visit("train", s.train);
    visit("parallel", s.parallel);
    visit("memory", s.memory);
    visit("output", s.output);
    visit("device", s.device);
  }
};

// A configuration and where each of its values was written, for errors.
struct LoadedConfig {
  YamlDocument document;
  Config config;
};

// File and overrides; an empty path: overrides alone. Values are checked as far as they can be without
// reading other files.
LoadedConfig load_config(const std::string& path, const std::vector<std::string>& overrides);

// A file or folder that the configuration reads from: its key, and where the value is. Empty ones are left
// out.
struct InputPath {
  std::string key;
  std::string* path = nullptr;
  bool shards = false;  // a pattern, a range or a file of shards
};
std::vector<InputPath> input_paths(Config&);

// Every file and folder that model and data name is there: missing_input with the key and its place.
void check_inputs(const LoadedConfig&);
// None of them lies in output.dir, where the run would move it aside: usage with the key and its place.
void check_inputs_outside_output(const LoadedConfig&);
// The same configuration for readers in any working directory.
Config with_absolute_paths(Config);
// A path that holds in any of them; as it is where the working directory cannot be written as text.
std::string absolute_path(const std::string& path);

// What a held-out set is called.
std::string held_out_name(const DataSource&);

}  // namespace longsight::launch
