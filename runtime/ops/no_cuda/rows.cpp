#include "runtime/ops/cuda/rows.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void gather_rows(Matrix, Matrix, const IndexList&, Stream) {
  not_built("gather_rows");
}

void scatter_rows(Matrix, Matrix, const IndexList&, Stream) {
  not_built("scatter_rows");
}

void scatter_add_rows(Matrix, Matrix, const IndexList&, Stream) {
  not_built("scatter_add_rows");
}

void copy_matrix(Matrix, Matrix, Stream) {
  not_built("copy_matrix");
}

void add_matrix(Matrix, Matrix, Stream) {
  not_built("add_matrix");
}

void zero_matrix(Matrix, Stream) {
  not_built("zero_matrix");
}

}  // namespace longsight::ops::cuda
