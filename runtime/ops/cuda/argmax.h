// Executor for CUDA of runtime/ops/argmax.h, whose contracts hold and are checked there. Tensors are those of
// the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/argmax.h"

namespace longsight::ops::cuda {

void argmax(Tensor index, Matrix x, Stream);

}  // namespace longsight::ops::cuda
