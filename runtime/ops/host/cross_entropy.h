// Host executor of the losses of rows in runtime/ops/cross_entropy.h.
#pragma once

#include <span>

#include "runtime/tensor/tensor.h"

namespace longsight::ops::host {

// total [1] (f64) += -log softmax(logits [R, V])[target] of each row, in order; `losses` [R] (f64) is
// scratch. With `gradient` the logits become scale * (softmax - one hot).
void row_losses(Tensor total, Tensor logits, Tensor losses, std::span<const i64> targets, double scale,
                bool gradient);

}  // namespace longsight::ops::host
