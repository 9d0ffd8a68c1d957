// Executor for CUDA of runtime/ops/adamw.h, whose contracts hold and are checked there. Tensors are those of
// the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/adamw.h"

namespace longsight::ops::cuda {

void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment, Tensor scale,
                const AdamWOptions&, Tensor copy, Stream);
void sum_of_squares(Tensor sum, Tensor x, Stream);
void clip_scale(Tensor scale, Tensor squares, Tensor loss, double clip, Stream);

}  // namespace longsight::ops::cuda
