// Executor for CUDA of runtime/ops/linear.h, whose contracts hold and are checked there. Tensors are those of
// the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/linear.h"

namespace longsight::ops::cuda {

void linear(Matrix y, Matrix x, Tensor weight, const LinearOptions&, Stream);
void linear_backward_input(Matrix dx, Matrix dy, Tensor weight, Write, Stream);
void linear_backward_weight(Tensor dw, Tensor db, Matrix dy, Matrix x, Stream);

}  // namespace longsight::ops::cuda
