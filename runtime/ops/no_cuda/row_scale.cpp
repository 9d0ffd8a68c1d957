#include "runtime/ops/cuda/row_scale.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void scale_rows(Matrix, Matrix, Tensor, Stream) {
  not_built("scale_rows");
}

void scale_rows_backward(Matrix, Tensor, Matrix, Matrix, Tensor, Stream) {
  not_built("scale_rows_backward");
}

void scale_matrix(Matrix, double, Stream) {
  not_built("scale_matrix");
}

}  // namespace longsight::ops::cuda
