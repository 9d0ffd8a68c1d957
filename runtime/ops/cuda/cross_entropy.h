// Executor for CUDA of runtime/ops/cross_entropy.h, whose contracts hold and are checked there. Tensors are
// those of the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/cross_entropy.h"

namespace longsight::ops::cuda {

// total [1] (f64) += -log softmax(logits [R, V])[target] of each row; `losses` [R] (f64) is scratch. With
// `gradient` the logits become scale * (softmax - one hot), which is written into d_logits [R, V], rounded to
// its type, unless that is the logits themselves.
void row_losses(Tensor total, Tensor logits, Tensor losses, const IndexList& targets, double scale,
                bool gradient, Tensor d_logits, Stream);

}  // namespace longsight::ops::cuda
