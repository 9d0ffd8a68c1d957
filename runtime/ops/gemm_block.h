// Private to gemm: the piece of a product that one thread computes, compiled once per instruction set.
#pragma once

#include "runtime/ops/gemm.h"

namespace longsight::ops {

// Rows [row, row + rows) and columns [column, column + columns) of a product.
template <class T>
struct GemmBlock {
  Gemm<T> problem;
  i64 row = 0;
  i64 rows = 0;
  i64 column = 0;
  i64 columns = 0;
  T* scratch = nullptr;  // kGemmScratchBytes, 64-byte aligned
  void (*done)(const void* context, i64 row, i64 rows, i64 column, i64 columns) = nullptr;
  const void* context = nullptr;
};

// Depth and width of the packed piece of b: it stays in the L2 cache while the rows of a pass by.
inline constexpr i64 kGemmDepth = 384;
inline constexpr i64 kGemmWidth = 768;
inline constexpr i64 kGemmRowTiles = 8;  // tiles of a transposed a that are packed together
inline constexpr i64 kGemmMaxTileRows = 9;
inline constexpr i64 kGemmScratchBytes =
    kGemmDepth * (kGemmWidth + kGemmRowTiles * kGemmMaxTileRows) * static_cast<i64>(sizeof(double)) + 4096;

// Rows and columns of the register tile: pieces for threads are multiples of them where possible.
struct GemmTile {
  i64 rows;
  i64 columns;  // of f32; half for f64
};
inline constexpr GemmTile kGemmTileAvx2{6, 16};
inline constexpr GemmTile kGemmTileAvx512{9, 48};

void gemm_block_avx2(const GemmBlock<float>& block);
void gemm_block_avx2(const GemmBlock<double>& block);
void gemm_block_avx512(const GemmBlock<float>& block);
void gemm_block_avx512(const GemmBlock<double>& block);

}  // namespace longsight::ops
