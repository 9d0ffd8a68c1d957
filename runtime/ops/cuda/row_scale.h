// Executor for CUDA of runtime/ops/row_scale.h, whose contracts hold and are checked there. Tensors are those
// of the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/row_scale.h"

namespace longsight::ops::cuda {

void scale_rows(Matrix y, Matrix x, Tensor scale, Stream);
void scale_rows_backward(Matrix dx, Tensor d_scale, Matrix dy, Matrix x, Tensor scale, Stream);
void scale_matrix(Matrix x, double factor, Stream);

}  // namespace longsight::ops::cuda
