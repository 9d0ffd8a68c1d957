#include "runtime/ops/host/attention_tile.h"

namespace longsight::ops::host {

extern const TileKernels<float> kAvx2TilesF32, kAvx512TilesF32;
extern const TileKernels<bf16> kAvx2TilesBF16, kAvx512TilesBF16;
extern const TileKernels<double> kAvx2TilesF64, kAvx512TilesF64;

bool supported(InstructionSet set) {
  if (set == InstructionSet::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
}

template <>
const TileKernels<float>& tile_kernels(InstructionSet set) {
  return set == InstructionSet::avx512 ? kAvx512TilesF32 : kAvx2TilesF32;
}
template <>
const TileKernels<bf16>& tile_kernels(InstructionSet set) {
  return set == InstructionSet::avx512 ? kAvx512TilesBF16 : kAvx2TilesBF16;
}
template <>
const TileKernels<double>& tile_kernels(InstructionSet set) {
  return set == InstructionSet::avx512 ? kAvx512TilesF64 : kAvx2TilesF64;
}

template <class T>
const TileKernels<T>& tile_kernels() {
  return tile_kernels<T>(supported(InstructionSet::avx512) ? InstructionSet::avx512 : InstructionSet::avx2);
}
template const TileKernels<float>& tile_kernels();
template const TileKernels<bf16>& tile_kernels();
template const TileKernels<double>& tile_kernels();

}  // namespace longsight::ops::host
