// Angles of rotary embeddings: of the language model by position, of a vision tower by row and column.
#pragma once

#include <span>

#include "model/block.h"
#include "model/inputs/positions.h"
#include "runtime/tensor/upload.h"

namespace longsight::model {

// Inverse frequencies, [head width / 2], rounded to f32 also in f64 as the Hugging Face models do. `length`
// counts with dynamic scaling only: of the sample that the positions belong to.
// Scaling: transformers 5.23, modeling_rope_utils.
std::vector<float> inverse_frequencies(const RopeConfig&, i64 head_width, i64 length);

// `lengths` has one entry a position, or none where the scaling does not depend on it.
ops::RopeAngles rope_angles(const TextConfig&, std::span<const Position> positions,
                            std::span<const i64> lengths);
// Whether `lengths` matter.
bool depends_on_length(const RopeConfig&);

// Qwen2-VL's towers: the first half of the angles goes by the patch's row, the second by its column.
struct PatchPlace {
  i64 row = 0;
  i64 column = 0;
};
ops::RopeAngles rope_angles(const VisionConfig&, std::span<const PatchPlace> patches);

void add_angles(Upload&, const ops::RopeAngles&);

// cos and sin [rows, head width / 2] in `arena`, for heads of that type; empty where there are no angles.
RopeTable rope_table(const ops::RopeAngles&, DType heads, Arena& arena, Stream);

}  // namespace longsight::model
