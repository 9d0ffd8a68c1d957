#include "parallel/typical_step.h"

#include <algorithm>

#include "parallel/cost_model.h"

namespace longsight::parallel {
namespace {

SampleStatistics assumed_sample(const PlanRequest& request) {
  const i64 tokens = request.batch.tokens_per_step,
            visual = request.model.features_of_tile(request.model.patches_per_tile);
  require(tokens >= 1, ExitCode::usage,
          "nothing is known about the length of samples: set train.tokens_per_step");
  const i64 images = request.model.vision.blocks > 0 && visual > 0 && tokens > visual ? 1 : 0;
  return {.tokens = tokens, .images = images, .supervised = (tokens - images * visual) / 2, .patches = 0};
}

}  // namespace

TypicalStep::TypicalStep(const PlanRequest& request, const Mesh& mesh) : request_(request), mesh_(mesh) {
  std::vector<SampleStatistics> samples = request.batch.samples;
  if (samples.empty()) samples = {assumed_sample(request)};
  std::vector<i64> tokens;
  for (const SampleStatistics& s : samples) tokens.push_back(s.tokens);
  summary_ = {.assumed = !request.batch.known(), .samples = static_cast<i64>(samples.size())};
  for (const auto& group : deal_samples(tokens, mesh.data, request.batch.micro_batch_tokens)) {
    groups_.emplace_back();
    for (const std::vector<i64>& members : group) {
      std::vector<SampleStatistics> packed;
      for (i64 sample : members) packed.push_back(samples[static_cast<std::size_t>(sample)]);
      groups_.back().push_back(pack_statistics(packed, request.model));
      const Geometry& frame = groups_.back().back().frame;
      summary_.tokens += frame.samples.rows();
      summary_.images += frame.images.count();
      summary_.micro_batches += 1;
      summary_.longest_micro_batch = std::max(summary_.longest_micro_batch, frame.samples.rows());
    }
  }
}

i64 TypicalStep::idle_groups() const {
  return std::count_if(groups_.begin(), groups_.end(), [](const auto& group) { return group.empty(); });
}

StepPrediction TypicalStep::predict(const Plan& plan) const {
  const ModelShape& m = request_.model;
  const HardwareProfile& h = request_.hardware;
  StepPrediction step;
  i64 vision = 0, fusion = 0, language = 0, loss = 0;
  double slowest = -1;
  for (const auto& group : groups_) {
    PassCost sum;
    for (const BatchShape& batch : group) {
      const PassCost pass = pass_cost(m, plan, batch);
      sum.vision += pass.vision;
      sum.connector += pass.connector;
      sum.fusion += pass.fusion;
      sum.language += pass.language;
      sum.loss += pass.loss;
      const MemoryByPart memory = PassMemoryModel(m, plan, batch).fullest();
      if (memory.total() > step.memory.total()) step.memory = memory;
    }
    vision += sum.vision.wire.total;
    fusion += sum.fusion.wire.total;
    language += sum.language.wire.total;
    loss += sum.loss.wire.total;
    if (sum.seconds(h) <= slowest) continue;
    slowest = sum.seconds(h);
    step.seconds_by_part = {{"vision", sum.vision.seconds(h)},
                            {"connector", sum.connector.seconds(h)},
                            {"fusion", sum.fusion.seconds(h)},
                            {"language", sum.language.seconds(h)},
                            {"loss", sum.loss.seconds(h)}};
  }
  const Cost gradients = gradient_sum_cost(m, mesh_.world), optimizer = optimizer_cost(m);
  step.seconds_by_part.emplace_back("gradients", gradients.seconds(h));
  step.seconds_by_part.emplace_back("optimizer", optimizer.seconds(h));
  for (const auto& [part, seconds] : step.seconds_by_part) step.seconds += seconds;
  step.exchange_by_part = {{"vision", vision},
                           {"fusion", fusion},
                           {"language", language},
                           {"loss", loss},
                           {"gradients", gradients.wire.total}};
  for (const auto& [part, bytes] : step.exchange_by_part) step.exchange_bytes += bytes;
  return step;
}

}  // namespace longsight::parallel
