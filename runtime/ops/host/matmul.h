// oneDNN's matmul primitive for products of bf16 with sums in f32, made once for each shape and thread.
#pragma once

#include <compare>

#include "runtime/tensor/dtype.h"

namespace longsight::ops::host {

// c [m, n] = op(a) op(b) + bias, or with `adds` the same + c; row-major as in Gemm.
struct MatmulShape {
  i64 m = 0, n = 0, k = 0;
  i64 lda = 0, ldb = 0, ldc = 0;
  bool a_transposed = false, b_transposed = false;
  bool adds = false, has_bias = false;
  DType result = DType::BF16;  // or f32

  auto operator<=>(const MatmulShape&) const = default;
};

// On the calling thread alone, if OpenMP allows it no more than one when the shape is first seen. bias [n],
// or null.
void matmul(const MatmulShape& shape, const bf16* a, const bf16* b, void* c, const bf16* bias);

// Whether oneDNN may use AVX512-BF16 or AMX here; without them its primitive is slow.
bool has_bf16_instructions();

}  // namespace longsight::ops::host
