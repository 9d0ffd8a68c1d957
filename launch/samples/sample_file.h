// One sample as the Hugging Face model of its family takes it, as a safetensors file.
#pragma once

#include <string>

#include "model/inputs/micro_batch.h"

namespace longsight::launch {

// input_ids, labels i64 [S] and, where there are images, pixel_values f32 [tiles, 3, H, W] ([1, tiles, 3, H,
// W] with pixel_attention_mask for Idefics3 and SmolVLM), or pixel_values [patches, K] with image_grid_thw
// i64 [images, 3] for Qwen2-VL (pixel_values_videos and video_grid_thw for its videos, and for those of
// Qwen2.5-VL second_per_grid_ts f32 [videos]); token_type_ids i64 [S] for PaliGemma.
void write_sample_file(const model::Sample&, const model::ModelConfig&, const std::string& path, Stream);

}  // namespace longsight::launch
