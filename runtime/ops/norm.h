// Layer norm and RMS norm over the last dimension (LayerNorm: Ba et al. 2016; RMSNorm: Zhang and Sennrich
// 2019). x, y, gain, bias and their rows' gradients are of one type T; mean, rstd, d_gain and d_bias of its
// statistics' type.
#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// y [T, C] = x / sqrt(mean(x^2) + eps) * (gain [C] + offset);  rstd [T] is written for backward. y may be x.
// The offset is 1 for Gemma, whose gains are stored around 0.
void rms_norm(Tensor y, Tensor rstd, Tensor x, Tensor gain, double eps, Stream, double offset = 0);
// y once more, from the saved rstd: norm outputs are not kept for backward.
void rms_norm_again(Tensor y, Tensor x, Tensor rstd, Tensor gain, Stream, double offset = 0);
// dx [T, C] is added to (the residual path's gradient is there already); d_gain [C] is added to, or empty.
// x and rstd as forward saw them. Same bits for every thread count.
void rms_norm_backward(Tensor dx, Tensor d_gain, Tensor dy, Tensor x, Tensor rstd, Tensor gain, Stream,
                       double offset = 0);

// y [T, C] = (x - mean) * rstd * gain + bias, rstd = 1 / sqrt(variance + eps);  mean [T] and rstd [T] are
// written.
void layer_norm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gain, Tensor bias, double eps, Stream);
void layer_norm_again(Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gain, Tensor bias, Stream);
// dx, d_gain, d_bias are added to; d_gain and d_bias may be empty.
void layer_norm_backward(Tensor dx, Tensor d_gain, Tensor d_bias, Tensor dy, Tensor x, Tensor mean,
                         Tensor rstd, Tensor gain, Stream);

}  // namespace longsight::ops
