// Executor for CUDA of runtime/ops/norm.h, whose contracts hold and are checked there. Tensors are those of
// the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/norm.h"

namespace longsight::ops::cuda {

void rms_norm(Tensor y, Tensor rstd, Tensor x, Tensor gain, double eps, double offset, Stream);
void rms_norm_again(Tensor y, Tensor x, Tensor rstd, Tensor gain, double offset, Stream);
void rms_norm_backward(Tensor dx, Tensor d_gain, Tensor dy, Tensor x, Tensor rstd, Tensor gain, double offset,
                       Stream);
void layer_norm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gain, Tensor bias, double eps, Stream);
void layer_norm_again(Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gain, Tensor bias, Stream);
void layer_norm_backward(Tensor dx, Tensor d_gain, Tensor d_bias, Tensor dy, Tensor x, Tensor mean,
                         Tensor rstd, Tensor gain, Stream);

}  // namespace longsight::ops::cuda
