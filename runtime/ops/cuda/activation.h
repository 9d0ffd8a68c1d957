// Executor for CUDA of runtime/ops/activation.h, whose contracts hold and are checked there. Tensors are
// those of the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/activation.h"

namespace longsight::ops::cuda {

void activation(Matrix y, Matrix x, Activation, Stream);
void activation_backward(Matrix dx, Matrix dy, Matrix x, Activation, Stream);
void gated(Matrix h, Matrix gate_up, Activation, Stream);
void gated_backward(Matrix d_gate_up, Matrix h, Matrix dh, Matrix gate_up, Activation, Stream);

}  // namespace longsight::ops::cuda
