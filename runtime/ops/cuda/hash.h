// Executor for CUDA of runtime/ops/hash.h, whose contracts hold and are checked there. Tensors are those of
// the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/hash.h"

namespace longsight::ops::cuda {

void hash(Tensor out, Tensor x, Stream);

}  // namespace longsight::ops::cuda
