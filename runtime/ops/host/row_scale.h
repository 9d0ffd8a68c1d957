// Host executor of runtime/ops/row_scale.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/row_scale.h"

namespace longsight::ops::host {

void scale_rows(Matrix y, Matrix x, Tensor scale);
void scale_rows_backward(Matrix dx, Tensor d_scale, Matrix dy, Matrix x, Tensor scale);
void scale_matrix(Matrix x, double factor);

}  // namespace longsight::ops::host
