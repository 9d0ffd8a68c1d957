#include "runtime/ops/gemm_kernel.h"

namespace longsight::ops {

void gemm_block_avx2(const GemmBlock<float>& block) {
  Kernel<float, 32, kGemmTileAvx2.rows, 2>::run(block);
}
void gemm_block_avx2(const GemmBlock<double>& block) {
  Kernel<double, 32, kGemmTileAvx2.rows, 2>::run(block);
}

}  // namespace longsight::ops
