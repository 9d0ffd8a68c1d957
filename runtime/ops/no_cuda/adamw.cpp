#include "runtime/ops/cuda/adamw.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void adamw_step(Tensor, Tensor, Tensor, Tensor, Tensor, const AdamWOptions&, Tensor, Stream) {
  not_built("adamw_step");
}

void sum_of_squares(Tensor, Tensor, Stream) {
  not_built("sum_of_squares");
}

void clip_scale(Tensor, Tensor, Tensor, double, Stream) {
  not_built("clip_scale");
}

}  // namespace longsight::ops::cuda
