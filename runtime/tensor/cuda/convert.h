// Elements of one type become those of another, in the memory of a GPU.
#pragma once

#include "runtime/tensor/tensor.h"

namespace longsight::cuda {

// f32, f64 and bf16 into each other, to nearest even, as runtime/tensor/convert.h; as many elements.
void convert(Tensor to, Tensor from, Stream);

}  // namespace longsight::cuda
