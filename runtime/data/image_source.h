// The pixels of one image of a sample, made when a rank that holds rows of it first asks.
#pragma once

#include "runtime/tensor/tensor.h"

namespace longsight::data {

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  // [3, H, W] f32, processed as the model takes it. Safe to call from several threads; errors name the file.
  virtual Tensor pixels() = 0;
};

}  // namespace longsight::data
