// A ready batch in the form that the Hugging Face model of the family takes it, as a safetensors file:
//   input_ids, labels, attention_mask   i64 [B, S]; padding on the right
//   pixel_values          f32; of towers with tiles [images, 3, H, W], or [B, images, 3, H, W] where images
//   of zeros are
//                         padding; of Qwen2-VL [patches, 3 * temporal * P * P], with image_grid_thw i64
//                         [images, 3]
//   pixel_values_videos, video_grid_thw, second_per_grid_ts (f32 [videos])      Qwen2-VL; without the last, a
//                         second lies between temporal patches
//   mm_token_type_ids     i64 [B, S]: checked against the ids
//   token_type_ids        i64 [B, S]: PaliGemma, 1 at the suffix; without it attention is causal
//   pixel_attention_mask  i64 or u8 [B, images, H, W]: SmolVLM; must be ones for every image that counts
#pragma once

#include <string>
#include <vector>

#include "model/inputs/micro_batch.h"

namespace longsight::model {

struct BatchFile {
  i64 rows = 0;                 // B
  i64 columns = 0;              // S
  std::vector<Sample> samples;  // one per row, tokens behind the attention mask's prefix of ones dropped

  i64 supervised() const;
};

// Strict: unknown tensors, shapes that do not fit, a mask that is no prefix of ones, counts of images and
// placeholders that differ are bad_data naming file, tensor and row.
BatchFile read_batch_file(const std::string& path, const ModelConfig&);

}  // namespace longsight::model
