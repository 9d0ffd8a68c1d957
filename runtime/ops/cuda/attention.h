// Executor for CUDA of runtime/ops/attention.h, whose contracts hold and are checked there. Tensors are those
// of the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/attention.h"

namespace longsight::ops::cuda {

void attention(Heads o, Matrix lse, Heads q, Heads k, Heads v, const AttentionProblem&, Arena& scratch,
               Stream);
void attention_delta(Matrix delta, Heads d_o, Heads o, Stream);
void attention_backward(Heads dq, Heads dk, Heads dv, Heads d_o, Matrix delta, Matrix lse, Heads q, Heads k,
                        Heads v, const AttentionProblem&, Arena& scratch, Stream);

}  // namespace longsight::ops::cuda
