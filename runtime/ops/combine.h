// What several ranks hold of the same elements, put together in their order, so that the bits do not depend
// on how it came.
#pragma once

#include <span>

#include "runtime/tensor/tensor.h"

namespace longsight::ops {

enum class Combination { sum, max };

// y[i] = terms[0][i] op terms[1][i] op ..., from left to right; y may be one of the terms. f32, f64,
// bf16 (added in f32, rounded once), i32 or i64, all of y's dtype and elements. max: NaN where one is NaN.
// Same bits for every thread count.
void combine(Tensor y, std::span<const Tensor> terms, Combination, Stream);

// Whether there is such a sum: usage of another dtype is an error before anything is sent.
bool combines(DType);

}  // namespace longsight::ops
