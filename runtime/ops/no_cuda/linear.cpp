#include "runtime/ops/cuda/linear.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void linear(Matrix, Matrix, Tensor, const LinearOptions&, Stream) {
  not_built("linear");
}

void linear_backward_input(Matrix, Matrix, Tensor, Write, Stream) {
  not_built("linear_backward_input");
}

void linear_backward_weight(Tensor, Tensor, Matrix, Matrix, Stream) {
  not_built("linear_backward_weight");
}

}  // namespace longsight::ops::cuda
