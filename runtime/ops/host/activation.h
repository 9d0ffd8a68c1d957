// Host executor of runtime/ops/activation.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/activation.h"

namespace longsight::ops::host {

void activation(Matrix y, Matrix x, Activation);
void activation_backward(Matrix dx, Matrix dy, Matrix x, Activation);
void gated(Matrix h, Matrix gate_up, Activation);
void gated_backward(Matrix d_gate_up, Matrix h, Matrix dh, Matrix gate_up, Activation);

}  // namespace longsight::ops::host
