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
  double gradient_scale = 1;  // the clip factor: multiplies the gradient as it is read
  i64 step = 1;               // of these parameters, from 1
};

// value, first_moment and second_moment [n] are updated; gradient [n] is read and then set to zero for the
// next step.
void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment, const AdamWOptions&,
                Stream);

double sum_of_squares(Tensor x,
                      Stream);  // in f64, same bits for every thread count; NaN and infinity come through

}  // namespace longsight::ops
