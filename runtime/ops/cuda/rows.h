// Executor for CUDA of runtime/ops/rows.h, whose contracts hold and are checked there. Tensors are those of
// the device, and all is queued on the stream. The same bits on every run.
#pragma once

#include "runtime/ops/rows.h"

namespace longsight::ops::cuda {

void gather_rows(Matrix y, Matrix x, const IndexList& index, Stream);
void scatter_rows(Matrix y, Matrix x, const IndexList& index, Stream);
void scatter_add_rows(Matrix y, Matrix x, const IndexList& index, Stream);
void copy_matrix(Matrix to, Matrix from, Stream);
void add_matrix(Matrix y, Matrix x, Stream);
void zero_matrix(Matrix y, Stream);

}  // namespace longsight::ops::cuda
