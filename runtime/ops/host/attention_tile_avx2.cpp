#include <cstdint>
#include <utility>

#include "runtime/ops/host/attention_tile.h"

namespace {
constexpr longsight::i64 kVectorBytes = 32;
constexpr int kStrip = 6;  // 12 accumulators of 16 registers
}  // namespace

#include "runtime/ops/host/attention_tile.inl"

namespace longsight::ops::host {
extern const TileKernels<float> kAvx2TilesF32 = kTileKernels<float>;
extern const TileKernels<bf16> kAvx2TilesBF16 = kTileKernels<bf16>;
extern const TileKernels<double> kAvx2TilesF64 = kTileKernels<double>;
}  // namespace longsight::ops::host
