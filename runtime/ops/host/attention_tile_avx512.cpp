#include <cstdint>
#include <utility>

#include "runtime/ops/host/attention_tile.h"

// Compiled for AVX-512 in every build: only called where the machine has it. Standard headers stay above.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,prefer-vector-width=512")

namespace {
constexpr longsight::i64 kVectorBytes = 64;
constexpr int kStrip = 12;  // 24 accumulators of 32 registers
}  // namespace

#include "runtime/ops/host/attention_tile.inl"

namespace longsight::ops::host {
extern const TileKernels<float> kAvx512TilesF32 = kTileKernels<float>;
extern const TileKernels<bf16> kAvx512TilesBF16 = kTileKernels<bf16>;
extern const TileKernels<double> kAvx512TilesF64 = kTileKernels<double>;
}  // namespace longsight::ops::host
