// Products of bf16, added up in f32.
#include "runtime/ops/host/gemm_blocks.h"
#include "runtime/ops/host/matmul.h"
#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

// Rows [row, row + rows) of c by oneDNN's matmul, which reads the addend from c.
template <class C>
void by_instructions(const Gemm<bf16, C>& g, i64 row, i64 rows) {
  C* const c = g.c + row * g.ldc;
  if (g.addend != nullptr && g.addend != g.c) {
    const C* const addend = g.addend + row * g.ld_addend;
    for (i64 r = 0; r < rows; ++r) std::copy_n(addend + r * g.ld_addend, g.n, c + r * g.ldc);
  }
  matmul({.m = rows,
          .n = g.n,
          .k = g.k,
          .lda = g.lda,
          .ldb = g.ldb,
          .ldc = g.ldc,
          .a_transposed = g.a_transposed,
          .b_transposed = g.b_transposed,
          .adds = g.addend != nullptr,
          .has_bias = g.bias != nullptr,
          .result = dtype_of<C>()},
         g.a + (g.a_transposed ? row : row * g.lda), g.b, c, g.bias);
}

// In f32 without gaps: [rows, cols].
void widen(float* to, const bf16* from, i64 stride, i64 rows, i64 cols) {
  for (i64 r = 0; r < rows; ++r) {
#pragma omp simd
    for (i64 c = 0; c < cols; ++c) to[r * cols + c] = from[r * stride + c];
  }
}

template <class C>
void round_into(C* to, const float* sum, const C* addend, const bf16* bias, i64 count) {
#pragma omp simd
  for (i64 c = 0; c < count; ++c) {
    float x = sum[c];
    if (addend != nullptr) x += addend[c];
    if (bias != nullptr) x += bias[c];
    to[c] = x;
  }
}

// Rows [row, row + rows) of c, tile by tile through the product of f32.
template <class C>
void in_f32(const Gemm<bf16, C>& g, i64 row, i64 rows) {
  constexpr i64 kSide = 512, kDepth = 1024;  // of a tile; its operands fit into the second-level cache
  struct Operands {};
  auto* const a = static_cast<float*>(
      thread_buffer<Operands>((2 * kSide * kDepth + kSide * kSide) * static_cast<i64>(sizeof(float))));
  float *const b = a + kSide * kDepth, *const sum = b + kSide * kDepth;
  for (i64 i = row; i < row + rows; i += kSide) {
    for (i64 j = 0; j < g.n; j += kSide) {
      const i64 height = std::min(kSide, row + rows - i), width = std::min(kSide, g.n - j);
      Gemm<float> tile{.m = height, .n = width, .a = a, .a_transposed = g.a_transposed, .b = b};
      tile.b_transposed = g.b_transposed;
      tile.c = sum;
      tile.ldc = width;
      for (i64 k = 0; k == 0 || k < g.k; k += kDepth) {
        tile.k = std::min(kDepth, g.k - k);
        tile.lda = g.a_transposed ? height : tile.k;
        tile.ldb = g.b_transposed ? tile.k : width;
        widen(a, g.a + (g.a_transposed ? k * g.lda + i : i * g.lda + k), g.lda,
              g.a_transposed ? tile.k : height, tile.lda);
        widen(b, g.b + (g.b_transposed ? j * g.ldb + k : k * g.ldb + j), g.ldb,
              g.b_transposed ? width : tile.k, tile.ldb);
        tile.addend = k > 0 ? sum : nullptr;
        tile.ld_addend = width;
        gemm(tile);
      }
      for (i64 r = 0; r < height; ++r) {
        round_into(g.c + (i + r) * g.ldc + j, sum + r * width,
                   g.addend == nullptr ? nullptr : g.addend + (i + r) * g.ld_addend + j,
                   g.bias == nullptr ? nullptr : g.bias + j, width);
      }
    }
  }
}

}  // namespace

Bf16Products bf16_products() {
  static const Bf16Products here =
      has_bf16_instructions() ? Bf16Products::instructions : Bf16Products::in_f32;
  return here;
}

template <class C>
void gemm(const Gemm<bf16, C>& g, const RowsDone& done, Bf16Products products) {
  gemm_in_blocks(g, done, [&](i64 row, i64 rows) {
    if (products == Bf16Products::instructions && g.k > 0) {
      by_instructions(g, row, rows);
    } else {
      in_f32(g, row, rows);
    }
  });
}

template void gemm(const Gemm<bf16, bf16>&, const RowsDone&, Bf16Products);
template void gemm(const Gemm<bf16, float>&, const RowsDone&, Bf16Products);

}  // namespace longsight::ops::host
