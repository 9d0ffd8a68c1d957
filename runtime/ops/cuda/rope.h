// Executor for CUDA of runtime/ops/rope.h, whose contracts hold and are checked there. Tensors are those of
// the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/rope.h"

namespace longsight::ops::cuda {

void rope(Heads x, Tensor cos, Tensor sin, Turn, Stream);
void rope_angles(Tensor cos, Tensor sin, const RopeAngles&, Stream);

}  // namespace longsight::ops::cuda
