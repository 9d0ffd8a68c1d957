#include "runtime/ops/cuda/activation.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void activation(Matrix, Matrix, Activation, Stream) {
  not_built("activation");
}

void activation_backward(Matrix, Matrix, Matrix, Activation, Stream) {
  not_built("activation_backward");
}

void gated(Matrix, Matrix, Activation, Stream) {
  not_built("gated");
}

void gated_backward(Matrix, Matrix, Matrix, Matrix, Activation, Stream) {
  not_built("gated_backward");
}

}  // namespace longsight::ops::cuda
