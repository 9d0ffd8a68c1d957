#include "runtime/ops/cuda/norm.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void rms_norm(Tensor, Tensor, Tensor, Tensor, double, double, Stream) {
  not_built("rms_norm");
}

void rms_norm_again(Tensor, Tensor, Tensor, Tensor, double, Stream) {
  not_built("rms_norm_again");
}

void rms_norm_backward(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, double, Stream) {
  not_built("rms_norm_backward");
}

void layer_norm(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, double, Stream) {
  not_built("layer_norm");
}

void layer_norm_again(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Stream) {
  not_built("layer_norm_again");
}

void layer_norm_backward(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Stream) {
  not_built("layer_norm_backward");
}

}  // namespace longsight::ops::cuda
