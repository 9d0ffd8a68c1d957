#include "launch/planning/prediction.h"

#include <algorithm>
#include <string_view>

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
CostByPart work_of(const model::PassTrace& trace, const ShortenedPass& some,
                   const HardwareProfile& hardware) {
  CostByPart parts;
  for (const Work& call : trace.work.calls())
    part_of(parts, call.place.part).add_call(call, hardware, call.times * some.blocks_of(call.place.unit));
  return parts;
}

// What the whole group exchanges. Exchanges of the whole world are a part of their own: every group has the
// same.
CostByPart wires_of(const model::PassTrace& trace, const ShortenedPass& some, CountedPass& pass, i64 node) {
  CostByPart parts;
  const auto& entries = trace.schedule.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const parallel::ScheduleEntry& entry = entries[i];
    const bool world = entry.group == parallel::kWorldLabel;
    Cost cost;
    cost.wire = world ? wire_of(entry.counts, size_of(entry.dtype), node) : pass.wire(entry, node);
    part_of(parts, world ? kParameters : trace.places[i].part)
        .add(cost, some.blocks_of(trace.places[i].unit));
  }
  return parts;
}

MemoryByPart memory_of(const model::PassTrace& trace, const ShortenedPass& some,
                       const model::PassInputs& inputs) {
  const auto logits = trace.scratch_table.find("loss.logits");
  MemoryByPart memory{.inputs = inputs.vision.patches->bytes(), .activations = trace.saved};
  for (const auto& [unit, bytes] : trace.work.kept())
    memory.activations += (some.blocks_of(unit) - 1) * bytes;
  memory.loss_chunk = logits == trace.scratch_table.end() ? 0 : logits->second;
  memory.scratch = trace.scratch - memory.loss_chunk;
  return memory;
}

}  // namespace

// ---- sums

void Cost::add_call(const Work& call, const HardwareProfile& h, i64 times) {
  const bool attention = std::string_view(call.op).starts_with("attention"), touches = call.flops == 0;
  const double work = touches ? call.bytes : call.flops;
  (touches ? touched_bytes : attention ? attention_flops : gemm_flops) += number(times) * work;
  if (work > 0)
    compute_seconds += number(times) * seconds_of(work, touches ? h.copy : attention ? h.attention : h.gemm);
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

PassPrediction PassPredictor::predict(CountedPass& pass, const parallel::Plan& plan, bool images_elsewhere) {
  const ParameterRegistry::Pretence dealt(model_.parameters(), plan.sharding(0));
  PassPrediction prediction;
  CostByPart wires;  // each rank knows them
  for (i64 rank : pass.fullest_ranks()) {
    model::PassInputs& inputs = pass.inputs(rank, plan.recompute);
    inputs.images_elsewhere = images_elsewhere;
    const ShortenedPass some(inputs, alike_);
    const model::PassTrace trace = trace_pass(model_, inputs, true, traced_, "sequence", false);
    for (const auto& [name, cost] : work_of(trace, some, hardware_)) {
      Cost& slowest = part_of(prediction.parts, name);
      if (cost.seconds(hardware_) >= slowest.seconds(hardware_)) slowest = cost;
    }
    const MemoryByPart memory = memory_of(trace, some, inputs);
    if (memory.total() >= prediction.memory.total()) prediction.memory = memory;
    if (wires.empty()) wires = wires_of(trace, some, pass, hardware_.ranks_per_node);
  }
  add(prediction.parts, wires);
  return prediction;
}

double PassPredictor::useful_flops(const parallel::BatchShape& batch) {
  model::PassInputs inputs = counted_inputs(batch, model_, one_rank_plan(model_), 0);
  const ShortenedPass some(inputs, alike_);
  const model::PassTrace trace = trace_pass(model_, inputs, true, traced_, "sequence", false);
  double sum = 0;
  for (const Work& call : trace.work.calls())
    sum += number(call.times * some.blocks_of(call.place.unit)) * (call.flops - call.again);
  return sum;
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

}  // namespace longsight::planning
