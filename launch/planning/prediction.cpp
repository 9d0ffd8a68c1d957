#include "launch/planning/prediction.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "launch/planning/block_classes.h"
#include "parallel/checkpoint/snapshot.h"

namespace longsight::planning {
namespace {

using parallel::Wire;

constexpr const char* kParameters = "parameters";

double number(i64 value) {
  return static_cast<double>(value);
}

Cost& part_of(CostByPart& parts, const std::string& name) {
  const auto found =
      std::find_if(parts.begin(), parts.end(), [&](const auto& part) { return part.first == name; });
  if (found != parts.end()) return found->second;
  parts.emplace_back(name, Cost{});
  return parts.back().second;
}

// The ops of one rank.
CostByPart work_of(const model::PassTrace& trace, const HardwareProfile& hardware) {
  CostByPart parts;
  for (const Work& call : trace.work.calls()) part_of(parts, call.part).add_call(call, hardware);
  return parts;
}

// Of counts that live as long as it.
using KnownWires = std::map<std::pair<std::pair<const void*, i64>, DType>, Wire>;

// Exchanges of the group; those of equal counts are counted once. Those of the whole world are a part of
// their own: every group has the same.
void add_wire(CostByPart& parts, const model::PassTrace& trace, i64 node, KnownWires& known) {
  const auto& entries = trace.schedule.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].group == parallel::kWorldLabel) {
      part_of(parts, kParameters).wire += wire_of(entries[i].counts, size_of(entries[i].dtype), node);
      continue;
    }
    const auto [wire, added] = known.try_emplace(std::pair(entries[i].counts.identity(), entries[i].dtype));
    if (added) wire->second = wire_of(entries[i].counts, size_of(entries[i].dtype), node);
    part_of(parts, trace.parts[i]).wire += wire->second;
  }
}

template <class Value>
i64 most(i64 ranks, Value&& value) {
  i64 best = 0;
  for (i64 r = 1; r < ranks; ++r) {
    if (value(r) > value(best)) best = r;
  }
  return best;
}

// Ranks that have most of something: rows of a stream, pairs that attention looks at, visual tokens, targets.
std::set<i64> fullest_ranks(const model::PassInputs& inputs, const parallel::BatchShape& batch) {
  const parallel::Layout& layout = inputs.layout();
  const i64 ranks = layout.ranks;
  std::set<i64> some{most(ranks, [&](i64 r) { return layout.language.rows(r); }),
                     most(ranks, [&](i64 r) { return layout.vision.rows(r); })};
  for (const auto& strategy : inputs.strategies) {
    const std::vector<double> pairs = strategy->head_pairs();
    some.insert(most(ranks, [&](i64 r) { return pairs[static_cast<std::size_t>(r)]; }));
  }
  if (inputs.has_images()) {
    const parallel::Counts rows =
        fusion_exchanges(parallel::FusionKind::owner, batch.features, layout).forth.counts;
    some.insert(most(ranks, [&](i64 r) { return rows.total_sent_by(r); }));
    some.insert(most(ranks, [&](i64 r) { return rows.total_received_by(r); }));
  }
  return some;
}

MemoryByPart memory_of(const model::PassTrace& trace, const model::PassInputs& inputs) {
  const auto logits = trace.scratch_table.find("loss.logits");
  MemoryByPart memory{.inputs = inputs.vision.patches->bytes(), .activations = trace.saved};
  memory.loss_chunk = logits == trace.scratch_table.end() ? 0 : logits->second;
  memory.scratch = trace.scratch - memory.loss_chunk;
  return memory;
}

}  // namespace

// ---- sums

void Cost::add_call(const Work& call, const HardwareProfile& h) {
  const bool attention = std::string_view(call.op).starts_with("attention"), touches = call.flops == 0;
  const double work = touches ? call.bytes : call.flops;
  (touches ? touched_bytes : attention ? attention_flops : gemm_flops) += work;
  if (work > 0) compute_seconds += seconds_of(work, touches ? h.copy : attention ? h.attention : h.gemm);
}

void Cost::add(const Cost& other, i64 times) {
  gemm_flops += number(times) * other.gemm_flops;
  attention_flops += number(times) * other.attention_flops;
  touched_bytes += number(times) * other.touched_bytes;
  compute_seconds += number(times) * other.compute_seconds;
  wire += {.total = times * other.wire.total,
           .fullest = times * other.wire.fullest,
           .messages = times * other.wire.messages,
           .fullest_between = times * other.wire.fullest_between,
           .messages_between = times * other.wire.messages_between};
}

double Cost::link_seconds(const HardwareProfile& h) const {
  if (!h.link) return 0;
  return number(wire.fullest - wire.fullest_between) / h.link->bandwidth +
         number(wire.messages - wire.messages_between) * h.link->latency;
}

double Cost::network_seconds(const HardwareProfile& h) const {
  if (!h.network) return 0;
  return number(wire.fullest_between) / h.network->bandwidth +
         number(wire.messages_between) * h.network->latency;
}

double Cost::seconds(const HardwareProfile& h) const {
  return compute_seconds + link_seconds(h) + network_seconds(h);
}

double seconds_of(const CostByPart& parts, const HardwareProfile& h) {
  double sum = 0;
  for (const auto& [name, cost] : parts) sum += cost.seconds(h);
  return sum;
}

void add(CostByPart& sum, const CostByPart& more, i64 times) {
  for (const auto& [name, cost] : more) part_of(sum, name).add(cost, times);
}

i64 MemoryByPart::total() const {
  i64 sum = 0;
  for (const auto& [name, bytes] : parts()) sum += bytes;
  return sum;
}

std::vector<std::pair<std::string, i64>> MemoryByPart::parts() const {
  return {{"parameters", parameters}, {"gradients", gradients},         {"optimizer", optimizer},
          {"inputs", inputs},         {"activations", activations},     {"scratch", scratch},
          {"loss_chunk", loss_chunk}, {"communication", communication}, {"checkpoint", checkpoint}};
}

// ---- a pass, a step

namespace {

// What one rank's trace tells.
struct RankFigures {
  CostByPart work, wires;  // its ops; the exchanges of the whole group, which each rank knows
  MemoryByPart memory;
  double useful_flops = 0;
};

RankFigures traced_figures(model::Vlm& model, const model::PassInputs& inputs,
                           const HardwareProfile& hardware, model::PassMemory& traced, KnownWires* known) {
  const model::PassTrace trace = trace_pass(model, inputs, true, traced, "sequence", false);
  RankFigures figures{.work = work_of(trace, hardware),
                      .wires = {},
                      .memory = memory_of(trace, inputs),
                      .useful_flops = trace.useful_flops()};
  if (known != nullptr) add_wire(figures.wires, trace, hardware.ranks_per_node, *known);
  return figures;
}

// sum += times * (more - less), part by part.
void add_difference(CostByPart& sum, const CostByPart& more, const CostByPart& less, i64 times) {
  add(sum, more, times);
  add(sum, less, -times);
}

// The figures of all blocks from traces of one or two of each class. Activations and work add up, scratch
// does not.
RankFigures figures_of(model::Vlm& model, model::PassInputs& inputs, const HardwareProfile& hardware,
                       model::PassMemory& traced, KnownWires* known) {
  const std::vector<BlockClass> classes = block_classes(model, inputs);
  const auto shortened = [&](i64 twice) {
    const ShortenedPass some(inputs, classes, twice);
    return traced_figures(model, inputs, hardware, traced, known);
  };
  const RankFigures once = shortened(-1);
  RankFigures all = once;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const i64 others = static_cast<i64>(classes[c].blocks.size()) - 1;
    if (others == 0) continue;
    const RankFigures twice = shortened(static_cast<i64>(c));
    add_difference(all.work, twice.work, once.work, others);
    add_difference(all.wires, twice.wires, once.wires, others);
    all.useful_flops += number(others) * (twice.useful_flops - once.useful_flops);
    all.memory.activations += others * (twice.memory.activations - once.memory.activations);
    all.memory.scratch = std::max(all.memory.scratch, twice.memory.scratch);
  }
  return all;
}

}  // namespace

PassPrediction predict_pass(model::Vlm& model, const parallel::BatchShape& batch, const parallel::Plan& plan,
                            const HardwareProfile& hardware, model::PassMemory& traced,
                            bool images_elsewhere) {
  const ParameterRegistry::Pretence dealt(model.parameters(), plan.sharding(0));
  const auto inputs_of = [&](i64 rank) {
    model::PassInputs inputs = counted_inputs(batch, model, plan, rank);
    inputs.images_elsewhere = images_elsewhere;
    return inputs;
  };
  model::PassInputs inputs = inputs_of(0);
  PassPrediction prediction;
  CostByPart wires;
  KnownWires known;  // of the inputs of the first rank
  for (i64 rank : fullest_ranks(inputs, batch)) {
    const bool first = wires.empty();
    if (rank != inputs.rank) inputs = inputs_of(rank);
    RankFigures figures = figures_of(model, inputs, hardware, traced, first ? &known : nullptr);
    for (const auto& [name, cost] : figures.work) {
      Cost& slowest = part_of(prediction.parts, name);
      if (cost.seconds(hardware) >= slowest.seconds(hardware)) slowest = cost;
    }
    if (figures.memory.total() >= prediction.memory.total()) prediction.memory = figures.memory;
    if (first) wires = std::move(figures.wires);
  }
  add(prediction.parts, wires);
  return prediction;
}

namespace {

// Trained elements that a rank updates, of the one with most: the first, as shares are cut.
i64 updated_elements(const ParameterRegistry& p, const parallel::Plan& plan) {
  i64 elements = 0;
  for (const ParameterBucket& bucket : p.buckets()) {
    if (!bucket.trained) continue;
    elements += plan.zero == 0 ? bucket.elements : share_of(bucket.elements, 0, plan.mesh.world).elements();
  }
  return elements;
}

Wire half_of(const Wire& w) {
  return {w.total / 2, w.fullest / 2, w.messages / 2, w.fullest_between / 2, w.messages_between / 2};
}

}  // namespace

MemoryByPart resident_memory(const ParameterRegistry& p, const parallel::Plan& plan) {
  const Precision& precision = p.precision();
  i64 whole = 0, share = 0;
  for (const ParameterBucket& bucket : p.buckets()) {
    whole += bucket.elements;
    share += share_of(bucket.elements, 0, plan.mesh.world).elements();
  }
  const Sharding sharding = plan.sharding(0);
  const i64 values = (values_dealt(precision, sharding) ? share : whole) * size_of(precision.master);
  const i64 weights =
      precision.mixed() ? (sharding.values() ? share : whole) * size_of(precision.activations) : 0;
  const i64 updated = updated_elements(p, plan);
  return {.parameters = values + weights,
          .gradients = (plan.zero < 2 ? p.trained_elements() : updated) * size_of(precision.gradients),
          .optimizer = 2 * updated * size_of(precision.master),
          .communication = plan.mesh.world > 1 ? parallel::ProcessGroup::reduction_scratch_bytes : 0,
          .checkpoint = parallel::Snapshot::bytes(p, plan.mesh.world)};
}

Cost gradient_sum_cost(const ParameterRegistry& p, const parallel::Plan& plan, const HardwareProfile& h) {
  const auto half = [&](DType type) {
    return half_of(
        parallel::all_reduce_wire(p.trained_elements(), plan.mesh.world, size_of(type), h.ranks_per_node));
  };
  const Precision& precision = p.precision();
  // Sums to their owners, and as many elements again from them: sums to all ranks, in stages 1 and 2 updated
  // weights. In stages 2 and 3 passes send what is sent of the gradients.
  Cost cost;
  if (plan.zero < 2) cost.wire += half(precision.gradients);
  if (plan.zero == 0) cost.wire += half(precision.gradients);
  if (plan.zero == 1 || plan.zero == 2) cost.wire += half(precision.activations);
  cost.add_call({.op = "sum", .bytes = (plan.zero < 2 ? 3 : 1) * number(cost.wire.fullest)}, h);
  return cost;
}

Cost optimizer_cost(const ParameterRegistry& p, const parallel::Plan& plan, const HardwareProfile& h) {
  const Precision& precision = p.precision();
  // The norm reads the gradient; AdamW reads and writes value and moments, reads the gradient, and writes the
  // weight where it is a copy.
  const i64 each = 8 * size_of(precision.master) + (precision.mixed() ? size_of(precision.activations) : 0);
  Cost cost;
  cost.add_call({.op = "adamw", .bytes = number(updated_elements(p, plan) * each)}, h);
  return cost;
}

double useful_flops(model::Vlm& model, const parallel::BatchShape& batch, model::PassMemory& traced) {
  model::PassInputs inputs = counted_inputs(batch, model, one_rank_plan(model), 0);
  return figures_of(model, inputs, {}, traced, nullptr).useful_flops;
}

}  // namespace longsight::planning
