#include "model/inputs/positions.h"

#include <algorithm>

namespace longsight::model {
namespace {

// Appends the positions of an image's features; `next` becomes the position of the text behind it.
void append_visual(std::vector<Position>& positions, const data::ImageLayout& layout,
                   const ModelConfig& config, i64& next) {
  const i64 down = layout.rows / config.vision.merge, across = layout.columns / config.vision.merge;
  // Temporal patches of a video lie apart by the time between them where the family counts it. In f32, in
  // which files of samples hold seconds.
  const float step =
      layout.video && config.positions_per_second > 0
          ? static_cast<float>(config.positions_per_second) * static_cast<float>(layout.seconds())
          : 1;
  for (i64 tile = 0; tile < layout.tiles; ++tile) {
    const i64 time = next + static_cast<i64>(static_cast<float>(tile) * step);
    for (i64 row = 0; row < down; ++row) {
      for (i64 column = 0; column < across; ++column) positions.push_back({time, next + row, next + column});
    }
  }
  next += std::max(down, across);
}

}  // namespace

std::vector<Position> positions_of(std::span<const i64> ids, std::span<const data::ImageLayout> images,
                                   const ModelConfig& config) {
  std::vector<Position> positions;
  positions.reserve(ids.size());
  const bool spatial = !config.text.rope.sections.empty();
  i64 next = config.text.first_position;
  std::size_t image = 0;
  while (positions.size() < ids.size()) {
    if (spatial && image < images.size() && config.is_placeholder(ids[positions.size()])) {
      append_visual(positions, images[image++], config, next);
    } else {
      positions.push_back({next, next, next});
      ++next;
    }
  }
  check(positions.size() == ids.size(), "{} positions for {} tokens", positions.size(), ids.size());
  return positions;
}

i64 next_position(std::span<const Position> positions, const ModelConfig& config) {
  i64 next = config.text.first_position;
  for (const Position& p : positions) next = std::max({next, p[0] + 1, p[1] + 1, p[2] + 1});
  return next;
}

}  // namespace longsight::model
