// Decides before step one what will run: sequence degree and the strategy of every block, with the predicted
// seconds and bytes of what was chosen and of what was not. Pure: no rank, no clock, no files; the same on
// every machine.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launch/planning/model_facts.h"
#include "launch/planning/prediction.h"
#include "model/files/detect.h"

namespace longsight::planning {

using parallel::AttentionKind;
using parallel::FusionKind;
using parallel::Mesh;
using parallel::Plan;
using parallel::Recompute;
using parallel::Strategy;
using parallel::Tower;

// `parallel.rules` of a configuration; later rules win. blocks: "vision.*", "language.3", "vision.0-3", "*",
// or several with commas between.
struct Rule {
  std::string blocks = {};
  AttentionKind attention = AttentionKind::local;
};

// Empty: auto.
struct PlanOptions {
  std::optional<i64> sequence = {};
  std::optional<AttentionKind> vision = {};
  std::optional<AttentionKind> language = {};
  FusionKind fusion = FusionKind::owner;
  std::vector<Rule> rules = {};
  std::optional<Recompute> recompute = {};
  std::optional<int> zero = {};
  i64 memory_budget = 0;  // bytes per rank; 0: no limit
};

// One sample of the data, as far as costs depend on it.
struct SampleStatistics {
  i64 tokens = 0;  // visual ones included
  i64 images = 0;  // sequences of the vision tower: tiles, temporal patches of videos
  i64 supervised = 0;
  i64 patches = 0;  // of all of these together; 0: each has the model's typical number
  auto operator<=>(const SampleStatistics&) const = default;
};

// The samples of a typical optimizer step.
struct BatchStatistics {
  std::vector<SampleStatistics> samples;  // empty: nothing is known about lengths
  i64 tokens_per_step = 0;                // where nothing is known: one sample of so many tokens is assumed
  i64 micro_batch_tokens = 0;  // upper bound of a micro-batch; 0: each data group packs its samples into one

  bool known() const { return !samples.empty(); }
};

struct PlanRequest {
  // Its parameters are allocated whole, on any backend: a trace is enough. Borrowed.
  model::Vlm& model;
  i64 world = 1;
  HardwareProfile hardware = {};
  BatchStatistics batch = {};
  PlanOptions options = {};
};

struct BlockDecision {
  std::string name = {};  // "vision.0", "vision.0.mlp", "connector", "language.head"
  model::ModuleKind kind = model::ModuleKind::other;
  std::string module = {};  // the block's place in a checkpoint, where the model shape says it
  i64 heads = 0;            // of attention
  i64 kv_heads = 0;
  std::string strategy = {};  // of attention: an AttentionKind; connector: the fusion exchange; others:
                              // "rows", nothing moves
  Recompute recompute = Recompute::none;
  double head_efficiency = 1;  // share of the time of the rank with most heads that an average rank is busy
  std::string reason = {};
};

// What was considered and not chosen.
struct Rejected {
  std::string alternative;
  double predicted_seconds = 0;  // of a step
  i64 exchange_bytes = 0;        // of a step, all ranks
  i64 memory_bytes = 0;          // of the fullest rank
  std::string reason = {};
};

struct StepPrediction {
  double seconds = 0;
  std::vector<std::pair<std::string, double>> seconds_by_part;  // of the slowest data group
  i64 exchange_bytes = 0;                                       // from rank to rank, all ranks of the world
  std::vector<std::pair<std::string, i64>> exchange_by_part;
  MemoryByPart memory;  // of the fullest rank
};

// The step that was counted.
struct PlannedBatch {
  bool assumed = false;  // nothing was known about lengths
  i64 samples = 0;
  i64 tokens = 0;
  i64 images = 0;
  i64 micro_batches = 0;
  i64 longest_micro_batch = 0;  // tokens
};

struct PlanResult {
  Plan plan;
  HardwareProfile hardware = {};
  PlannedBatch batch;
  std::string sequence_reason;
  std::string recompute_reason;
  std::string zero_reason;
  std::string vision_split, language_split;  // where the ranges of a tower are cut
  std::vector<BlockDecision> blocks;
  StepPrediction step;
  std::vector<Rejected> rejected;
  std::vector<std::string> warnings;
};

// Throws usage for requests that cannot be: a degree that does not divide the world, a rule that names no
// block, `images` for the language model. Samples that their images do not fit in are bad_data.
PlanResult make_plan(const PlanRequest& request);

}  // namespace longsight::planning
