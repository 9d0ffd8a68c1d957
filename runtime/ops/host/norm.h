// Host executor of runtime/ops/norm.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/norm.h"

namespace longsight::ops::host {

void rms_norm(Tensor y, Tensor rstd, Tensor x, Tensor gain, double eps, double offset);
void rms_norm_again(Tensor y, Tensor x, Tensor rstd, Tensor gain, double offset);
void rms_norm_backward(Tensor dx, Tensor d_gain, Tensor dy, Tensor x, Tensor rstd, Tensor gain,
                       double offset);
void layer_norm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gain, Tensor bias, double eps);
void layer_norm_again(Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gain, Tensor bias);
void layer_norm_backward(Tensor dx, Tensor d_gain, Tensor d_bias, Tensor dy, Tensor x, Tensor mean,
                         Tensor rstd, Tensor gain);

}  // namespace longsight::ops::host
