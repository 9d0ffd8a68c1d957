// Host executor of the losses of rows in runtime/ops/cross_entropy.h.
#pragma once

#include <span>

#include "runtime/tensor/tensor.h"

namespace longsight::ops::host {

// total [1] (f64) += -log softmax(logits [R, V])[target] of each row, in order; `losses` [R] (f64) is
// scratch. With `gradient` the logits become scale * (softmax - one hot), which is written into d_logits [R,
// V], rounded to its type, unless that is the logits themselves.
void row_losses(Tensor total, Tensor logits, Tensor losses, std::span<const i64> targets, double scale,
                bool gradient, Tensor d_logits);

}  // namespace longsight::ops::host
