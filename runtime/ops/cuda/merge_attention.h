// Executor for CUDA of runtime/ops/merge_attention.h, whose contracts hold and are checked there. Tensors are
// those of the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/merge_attention.h"

namespace longsight::ops::cuda {

void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse, Stream);

}  // namespace longsight::ops::cuda
