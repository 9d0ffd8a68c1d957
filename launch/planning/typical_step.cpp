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

TypicalStep::TypicalStep(const PlanRequest& request, const Mesh& mesh, i64 limit)
    : request_(request), mesh_(mesh) {
  const TileFacts tile = model_facts(request.model.config()).tile;
  const std::vector<SampleStatistics>& samples = request.samples;
  std::vector<i64> tokens;
  for (const SampleStatistics& s : samples) tokens.push_back(s.tokens);
  summary_.samples = static_cast<i64>(samples.size());
  std::map<std::vector<SampleStatistics>, std::size_t> known;
  for (const auto& group : parallel::deal_samples(tokens, mesh.data, limit)) {
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
  for (const parallel::BatchShape& shape : shapes_)
    if (shape.frame.images.count() > 0) layouts.push_back(make_layout(plan, shape.frame));
  return layouts.empty() ? 0 : empty_ranks(layouts, mesh_.sequence, &parallel::Layout::vision);
}

i64 TypicalStep::ranks_without_tokens(const Plan& plan) const {
  std::vector<parallel::Layout> layouts;
  for (const parallel::BatchShape& shape : shapes_) layouts.push_back(make_layout(plan, shape.frame));
  return empty_ranks(layouts, mesh_.sequence, &parallel::Layout::language);
}

double TypicalStep::flops() const {
  model::PassMemory traced(Backend::trace);
  std::vector<double> passes;
  for (const parallel::BatchShape& shape : shapes_)
    passes.push_back(useful_flops(request_.model, shape, traced));
  double sum = 0;
  for (const auto& group : groups_)
    for (std::size_t shape : group) sum += passes[shape];
  return sum;
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
