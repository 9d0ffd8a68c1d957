#include "runtime/ops/cuda/combine.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void combine(Tensor, std::span<const Tensor>, Combination, Stream) {
  not_built("combine");
}

}  // namespace longsight::ops::cuda
