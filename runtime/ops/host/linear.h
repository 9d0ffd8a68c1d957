// Host executor of runtime/ops/linear.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/linear.h"

namespace longsight::ops::host {

void linear(Matrix y, Matrix x, Tensor weight, const LinearOptions& options);
void linear_backward_input(Matrix dx, Matrix dy, Tensor weight, Write);
void linear_backward_weight(Tensor dw, Tensor db, Matrix dy, Matrix x);

}  // namespace longsight::ops::host
