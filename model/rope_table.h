// Angles of the language model's rotary embedding.
#pragma once

#include <span>

#include "model/block.h"

namespace longsight::model {

// Inverse frequencies, [head width / 2], rounded to f32 also in f64 as the Hugging Face models do.
// Scaling: transformers 5.23, modeling_rope_utils.
std::vector<float> inverse_frequencies(const RopeConfig&, i64 head_width);

// cos and sin [positions, head width / 2] in `arena`.
RopeTable rope_table(const TextConfig&, std::span<const i64> positions, DType, Arena& arena);

}  // namespace longsight::model
