// Executor for CUDA of runtime/ops/patches.h, whose contracts hold and are checked there. Tensors are those
// of the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/patches.h"

namespace longsight::ops::cuda {

void patch_rows(Matrix rows, Tensor pixels, i64 patch, const IndexList& index, Stream);
void ready_patch_rows(Matrix rows, Tensor patches, const IndexList& index, Stream);

}  // namespace longsight::ops::cuda
