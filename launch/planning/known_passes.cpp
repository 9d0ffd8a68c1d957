#include "launch/planning/known_passes.h"

#include <algorithm>

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

KnownPasses::KnownPasses(const PlanRequest& request)
    : request_(request),
      tile_(model_facts(request.model.config()).tile),
      predictor_(request.model, request.hardware) {}

std::size_t KnownPasses::number_of(const std::vector<SampleStatistics>& samples) {
  const auto [number, added] = numbers_.emplace(samples, shapes_.size());
  if (added) shapes_.push_back(pack_statistics(samples, tile_));
  return number->second;
}

const PassPrediction& KnownPasses::predict(std::size_t micro_batch, const Plan& plan, bool images_elsewhere) {
  // Moments that are dealt change no pass.
  const int stage = plan.zero < 2 ? 0 : plan.zero;
  const InputsKey inputs_key(micro_batch, plan.mesh.sequence, plan.vision, plan.language, plan.fusion,
                             plan.split, plan.node);
  CountedPass& inputs =
      inputs_.try_emplace(inputs_key, request_.model, shapes_[micro_batch], plan).first->second;
  const auto [pass, added] = passes_.try_emplace({&inputs, plan.recompute, stage, images_elsewhere});
  if (added) pass->second = predictor_.predict(inputs, plan, images_elsewhere);
  return pass->second;
}

double KnownPasses::useful_flops(std::size_t micro_batch) {
  const auto [flops, added] = flops_.try_emplace(micro_batch);
  if (added) flops->second = predictor_.useful_flops(shapes_[micro_batch]);
  return flops->second;
}

}  // namespace longsight::planning
