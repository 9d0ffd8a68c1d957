// Executor for CUDA of runtime/ops/combine.h, whose contracts hold and are checked there. Tensors are those
// of the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/combine.h"

namespace longsight::ops::cuda {

void combine(Tensor y, std::span<const Tensor> terms, Combination, Stream);

}  // namespace longsight::ops::cuda
