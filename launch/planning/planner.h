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
using parallel::Split;
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
  std::optional<Split> split = {};  // of the language stream
  std::vector<Rule> rules = {};
  std::optional<Recompute> recompute = {};
  std::optional<i64> micro_batch_tokens = {};  // most tokens of a micro-batch; 0: one per data group and step
  i64 memory_budget = 0;                       // bytes per rank; 0: no limit
  std::string budget_source = "memory.budget";
  std::optional<int> zero = {};  // ZeRO stage, 0 to 3
};

// One sample of the data, as far as costs depend on it.
struct SampleStatistics {
  i64 tokens = 0;  // visual ones included
  i64 images = 0;  // sequences of the vision tower: tiles, temporal patches of videos
  i64 supervised = 0;
  i64 patches = 0;  // of all of these together; 0: each has the model's typical number
  auto operator<=>(const SampleStatistics&) const = default;
};

struct PlanRequest {
  // Its parameters are allocated whole, on any backend: a trace is enough. Borrowed.
  model::Vlm& model;
  i64 world = 1;
  HardwareProfile hardware = {};
  std::vector<SampleStatistics> samples = {};  // of a typical optimizer step; one at least
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
  double link_seconds = 0;                                      // of these, exchanges within nodes
  double network_seconds = 0;                                   // and between them
  i64 exchange_bytes = 0;                                       // from rank to rank, all ranks of the world
  std::vector<std::pair<std::string, i64>> exchange_by_part;
  MemoryByPart memory;  // of the fullest rank
};

// The step that was counted.
struct PlannedBatch {
  i64 samples = 0;
  i64 tokens = 0;
  i64 images = 0;
  i64 micro_batches = 0;
  i64 longest_micro_batch = 0;  // tokens
};

struct PlanResult {
  Plan plan;
  Precision precision = {};  // of the model
  HardwareProfile hardware = {};
  PlannedBatch batch;
  i64 memory_budget = 0;  // bytes per rank; 0: no limit
  std::string budget_source;
  std::string sequence_reason;
  std::string memory_reason;  // of recompute and micro-batches
  std::string zero_reason;
  std::string vision_split, language_split;  // where the ranges of a tower are cut
  std::string split_reason;                  // of the language model's
  std::vector<BlockDecision> blocks;
  StepPrediction step;
  double flops = 0;  // of the step, all ranks, without what is computed again
  std::vector<Rejected> rejected;
  std::vector<std::string> warnings;
  std::string refusal;  // the plan does not fit into the budget, and what would; empty: it fits
};

// Throws usage for requests that cannot be: a degree that does not divide the world, a rule that names no
// block, `images` for the language model, no samples, hardware without a link that is needed. Samples that
// their images do not fit in are bad_data.
PlanResult make_plan(const PlanRequest& request);

// What a plan of one's own would cost for the request; plan.mesh is of the request's world.
StepPrediction predict_step(const PlanRequest& request, const Plan& plan);

// Of another step of the plan, that computes so many FLOPs (as PlanResult::flops): its passes take longer or
// shorter with them, the sum of gradients and the update do not.
double predicted_seconds(const PlanResult& result, double flops);

// Throws usage with the refusal of a plan that has one.
void require_fits(const PlanResult& result);

}  // namespace longsight::planning
