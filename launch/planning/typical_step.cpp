#include "launch/planning/typical_step.h"

#include <algorithm>
#include <map>

namespace longsight::planning {
namespace {

// Where only the sum is known, merge blocks are spread evenly over the tiles.
i64 patches_of(const SampleStatistics& s, i64 image, const TileFacts& tile) {
  if (s.patches == 0) return tile.patches_per_tile;
  const i64 blocks = s.patches / tile.merge;
  return (blocks * (image + 1) / s.images - blocks * image / s.images) * tile.merge;
}

}  // namespace

parallel::BatchShape pack_statistics(std::span<const SampleStatistics> samples, const TileFacts& tile) {
  parallel::BatchShape shape;
  shape.frame.class_rows = tile.class_rows;
  shape.frame.merge = tile.merge;
  for (const SampleStatistics& s : samples) {
    const i64 start = shape.frame.samples.rows();
    i64 position = start;
    for (i64 image = 0; image < s.images; ++image) {
      const i64 patches = patches_of(s, image, tile), features = tile.features_of(patches);
      shape.features.push_back(
          {shape.frame.images.rows() + tile.first_feature_row, tile.merge, position, features});
      position += features;
      shape.frame.images.append(tile.rows_of(patches));
    }
    require(position - start <= s.tokens, ExitCode::bad_data,
            "a sample of {} tokens with {} image{} of {} visual tokens together", s.tokens, s.images,
            s.images == 1 ? "" : "s", position - start);
    shape.frame.samples.append(s.tokens);
    // The last token has no next one.
    const i64 supervised = std::clamp<i64>(s.supervised, 0, s.tokens - 1);
    if (supervised > 0) shape.supervised.push_back({start + s.tokens - 1 - supervised, start + s.tokens - 1});
  }
  return shape;
}

namespace {

SampleStatistics assumed_sample(const PlanRequest& request) {
  const TileFacts tile = model_facts(request.model.config()).tile;
  const i64 tokens = request.batch.tokens_per_step, visual = tile.features_of(tile.patches_per_tile);
  require(tokens >= 1, ExitCode::usage,
          "nothing is known about the length of samples: set train.tokens_per_step");
  const i64 images = request.model.config().has_vision() && visual > 0 && tokens > visual ? 1 : 0;
  return {.tokens = tokens, .images = images, .supervised = (tokens - images * visual) / 2, .patches = 0};
}

}  // namespace

TypicalStep::TypicalStep(const PlanRequest& request, const Mesh& mesh) : request_(request), mesh_(mesh) {
  const TileFacts tile = model_facts(request.model.config()).tile;
  std::vector<SampleStatistics> samples = request.batch.samples;
  if (samples.empty()) samples = {assumed_sample(request)};
  std::vector<i64> tokens;
  for (const SampleStatistics& s : samples) tokens.push_back(s.tokens);
  summary_ = {.assumed = !request.batch.known(), .samples = static_cast<i64>(samples.size())};
  std::map<std::vector<SampleStatistics>, std::size_t> known;
  for (const auto& group : parallel::deal_samples(tokens, mesh.data, request.batch.micro_batch_tokens)) {
    groups_.emplace_back();
    for (const std::vector<i64>& members : group) {
      std::vector<SampleStatistics> packed;
      for (i64 sample : members) packed.push_back(samples[static_cast<std::size_t>(sample)]);
      const auto [shape, added] = known.emplace(packed, shapes_.size());
      if (added) shapes_.push_back(pack_statistics(packed, tile));
      groups_.back().push_back(shape->second);
      const parallel::Geometry& frame = shapes_[shape->second].frame;
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
  const HardwareProfile& h = request_.hardware;
  const ParameterRegistry& parameters = request_.model.parameters();
  model::PassMemory traced(Backend::trace);
  std::vector<PassPrediction> passes;
  for (const parallel::BatchShape& shape : shapes_)
    passes.push_back(
        predict_pass(request_.model, shape, plan, h, traced, summary_.images > 0 && mesh_.data > 1));

  StepPrediction step;
  MemoryByPart fullest;  // of the passes
  std::map<std::string, i64> moved;
  double slowest = -1;
  for (const auto& group : groups_) {
    CostByPart sum;
    i64 inputs = 0;
    MemoryByPart largest;
    for (std::size_t shape : group) {
      const PassPrediction& pass = passes[shape];
      add(sum, pass.parts);
      inputs += 2 * pass.memory.inputs;  // the step that runs, and the next one that is made beside it
      if (pass.memory.total() >= largest.total()) largest = pass.memory;
    }
    largest.inputs = inputs;
    if (largest.total() >= fullest.total()) fullest = largest;
    for (const auto& [part, cost] : sum) {
      // What all ranks exchange is in every group's passes.
      i64& of_part = moved[part];
      of_part = part == "parameters" ? std::max(of_part, cost.wire.total) : of_part + cost.wire.total;
    }
    const double seconds = seconds_of(sum, h);
    if (seconds <= slowest) continue;
    slowest = seconds;
    step.seconds_by_part.clear();
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

  const Cost gradients = gradient_sum_cost(parameters, plan), optimizer = optimizer_cost(parameters, plan);
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
