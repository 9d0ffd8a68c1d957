// Positions of a sample's tokens, as its family counts them.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "model/config.h"

namespace longsight::model {

// Time, height and width. Without M-RoPE the three are equal.
using Position = std::array<i64, 3>;

// Of ids [T] whose placeholders are those of images with these layouts, in order. Text goes on by one; with
// M-RoPE an image or video spans time, height and width of its merge blocks, and text goes on behind its
// longer edge (transformers 5.23, Qwen2_5_VLModel.get_rope_index).
std::vector<Position> positions_of(std::span<const i64> ids, std::span<const data::ImageLayout> images,
                                   const ModelConfig&);

// Where a generated token behind these positions stands: behind the largest of them.
i64 next_position(std::span<const Position> positions, const ModelConfig&);

}  // namespace longsight::model
