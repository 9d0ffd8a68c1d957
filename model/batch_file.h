// A ready batch in the form that the Hugging Face LLaVA model takes it, as a safetensors file: input_ids,
// labels, attention_mask i64 [B, S] and pixel_values f32 [images, 3, H, W].
#pragma once

#include <string>
#include <vector>

#include "model/micro_batch.h"

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
