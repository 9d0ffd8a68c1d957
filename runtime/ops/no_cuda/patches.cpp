#include "runtime/ops/cuda/patches.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void patch_rows(Matrix, Tensor, i64, const IndexList&, Stream) {
  not_built("patch_rows");
}

void ready_patch_rows(Matrix, Tensor, const IndexList&, Stream) {
  not_built("ready_patch_rows");
}

}  // namespace longsight::ops::cuda
