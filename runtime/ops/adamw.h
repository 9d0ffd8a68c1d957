// AdamW (Loshchilov and Hutter 2019) as torch.optim.AdamW computes it, on a flat interval of parameters.
#pragma once

#include "runtime/tensor/tensor.h"

namespace longsight::ops {

struct AdamWOptions {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0;
  i64 step = 1;  // of these parameters, from 1
};

// value, first_moment and second_moment [n] (f32 or f64) are updated, and with `copy` [n] (bf16) the rounded
// values are written there in the same pass; gradient [n] is read, multiplied by scale [1] (f64), and then
// set to zero for the next step. Where the scale is NaN nothing is changed but the gradient, which is zeroed:
// a step that must not be taken.
void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment, Tensor scale,
                const AdamWOptions&, Stream, Tensor copy = {});

// sum [1] (f64) += the squares of x (f32 or f64). Same bits for every thread count; NaN and infinity come
// through.
void sum_of_squares(Tensor sum, Tensor x, Stream);

// scale [1] (f64) = what gradients are multiplied by whose squares sum up to squares [1] (f64), as
// torch.nn.utils.clip_grad_norm_ does: min(1, clip / (norm + 1e-6)). NaN where the norm or loss [1] (f64) is
// not finite.
void clip_scale(Tensor scale, Tensor squares, Tensor loss, double clip, Stream);

}  // namespace longsight::ops
