#include "launch/planning/typical_step.h"

#include <algorithm>

namespace longsight::planning {

TypicalStep::TypicalStep(const PlanRequest& request, KnownPasses& passes, const Mesh& mesh, i64 limit)
    : request_(request), passes_(passes), mesh_(mesh) {
  const std::vector<SampleStatistics>& samples = request.samples;
  std::vector<i64> tokens;
  for (const SampleStatistics& s : samples) tokens.push_back(s.tokens);
  summary_.samples = static_cast<i64>(samples.size());
  std::map<Passes, i64> groups;
  for (const auto& group : parallel::deal_samples(tokens, mesh.data, limit)) {
    Passes passes_of_it;
    for (const std::vector<i64>& members : group) {
      std::vector<SampleStatistics> packed;
      for (i64 sample : members) packed.push_back(samples[static_cast<std::size_t>(sample)]);
      const std::size_t micro_batch = passes_.number_of(packed);
      ++passes_of_it[micro_batch];
      const parallel::Geometry& frame = passes_.shape(micro_batch).frame;
      summary_.tokens += frame.samples.rows();
      summary_.images += frame.images.count();
      summary_.micro_batches += 1;
      summary_.longest_micro_batch = std::max(summary_.longest_micro_batch, frame.samples.rows());
    }
    for (const auto& [micro_batch, times] : passes_of_it) all_[micro_batch] += times;
    ++groups[std::move(passes_of_it)];
  }
  groups_.assign(groups.begin(), groups.end());
}

i64 TypicalStep::idle_groups() const {
  for (const auto& [passes, groups] : groups_)
    if (passes.empty()) return groups;
  return 0;
}

namespace {

// Ranks whose range of a stream is empty in every layout.
i64 empty_ranks(const std::vector<parallel::Layout>& layouts, i64 ranks,
                parallel::Cuts parallel::Layout::*stream) {
  i64 empty = 0;
  for (i64 r = 0; r < ranks; ++r)
    empty += std::all_of(layouts.begin(), layouts.end(),
                         [&](const parallel::Layout& layout) { return (layout.*stream).rows(r) == 0; });
  return empty;
}

}  // namespace

i64 TypicalStep::ranks_without_pictures(const Plan& plan) const {
  std::vector<parallel::Layout> layouts;
  for (const auto& [micro_batch, times] : all_) {
    const parallel::Geometry& frame = passes_.shape(micro_batch).frame;
    if (frame.images.count() > 0) layouts.push_back(make_layout(plan, frame));
  }
  return layouts.empty() ? 0 : empty_ranks(layouts, mesh_.sequence, &parallel::Layout::vision);
}

i64 TypicalStep::ranks_without_tokens(const Plan& plan) const {
  std::vector<parallel::Layout> layouts;
  for (const auto& [micro_batch, times] : all_)
    layouts.push_back(make_layout(plan, passes_.shape(micro_batch).frame));
  return empty_ranks(layouts, mesh_.sequence, &parallel::Layout::language);
}

double TypicalStep::flops() const {
  double sum = 0;
  for (const auto& [micro_batch, times] : all_)
    sum += static_cast<double>(times) * passes_.useful_flops(micro_batch);
  return sum;
}

StepPrediction TypicalStep::predict(const Plan& plan) const {
  const HardwareProfile& h = request_.hardware;
  const ParameterRegistry& parameters = request_.model.parameters();

  StepPrediction step;
  MemoryByPart fullest;  // of the passes
  std::map<std::string, i64> moved;
  double slowest = -1;
  for (const auto& [micro_batches, groups] : groups_) {
    CostByPart sum;
    i64 inputs = 0;
    MemoryByPart largest;
    for (const auto& [micro_batch, times] : micro_batches) {
      const PassPrediction& pass = passes_.predict(micro_batch, plan, summary_.images > 0 && mesh_.data > 1);
      add(sum, pass.parts, times);
      inputs +=
          2 * times * pass.memory.inputs;  // the step that runs, and the next one that is made beside it
      if (pass.memory.total() >= largest.total()) largest = pass.memory;
    }
    largest.inputs = inputs;
    if (largest.total() >= fullest.total()) fullest = largest;
    for (const auto& [part, cost] : sum) {
      // What all ranks exchange is in every group's passes.
      i64& of_part = moved[part];
      of_part =
          part == "parameters" ? std::max(of_part, cost.wire.total) : of_part + groups * cost.wire.total;
    }
    const double seconds = seconds_of(sum, h);
    if (seconds <= slowest) continue;
    slowest = seconds;
    step.seconds_by_part.clear();
    step.link_seconds = step.network_seconds = 0;
    for (const auto& [part, cost] : sum) {
      step.link_seconds += cost.link_seconds(h);
      step.network_seconds += cost.network_seconds(h);
    }
    for (const char* part : {"vision", "connector", "fusion", "language", "loss", "parameters"}) {
      const auto found =
          std::find_if(sum.begin(), sum.end(), [&](const auto& named) { return named.first == part; });
      step.seconds_by_part.emplace_back(part, found == sum.end() ? 0 : found->second.seconds(h));
    }
  }
  step.memory = resident_memory(parameters, plan);
  step.memory.inputs = fullest.inputs;
  step.memory.activations = fullest.activations;
  step.memory.scratch = fullest.scratch;
  step.memory.loss_chunk = fullest.loss_chunk;

  const Cost gradients = gradient_sum_cost(parameters, plan, h),
             optimizer = optimizer_cost(parameters, plan, h);
  step.link_seconds += gradients.link_seconds(h);
  step.network_seconds += gradients.network_seconds(h);
  step.seconds_by_part.emplace_back("gradients", gradients.seconds(h));
  step.seconds_by_part.emplace_back("optimizer", optimizer.seconds(h));
  for (const auto& [part, seconds] : step.seconds_by_part) step.seconds += seconds;
  step.exchange_by_part = {{"vision", moved["vision"]},         {"fusion", moved["fusion"]},
                           {"language", moved["language"]},     {"loss", moved["loss"]},
                           {"parameters", moved["parameters"]}, {"gradients", gradients.wire.total}};
  for (const auto& [part, bytes] : step.exchange_by_part) step.exchange_bytes += bytes;
  return step;
}

}  // namespace longsight::planning
