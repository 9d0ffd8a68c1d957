#include <immintrin.h>

#include "runtime/ops/gemm_block.h"

// Everything below this line may use AVX-512, whatever the build is for; gemm.cpp calls it only where the
// machine has it.
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma")
#include "runtime/ops/gemm_kernel.h"

namespace longsight::ops {

void gemm_block_avx512(const GemmBlock<float>& block) {
  Kernel<float, 64, kGemmTileAvx512.rows, 3>::run(block);
}
void gemm_block_avx512(const GemmBlock<double>& block) {
  Kernel<double, 64, kGemmTileAvx512.rows, 3>::run(block);
}

}  // namespace longsight::ops
