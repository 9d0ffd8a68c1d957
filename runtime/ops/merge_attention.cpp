#include "runtime/ops/merge_attention.h"

#include "runtime/ops/cuda/merge_attention.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/merge_attention.h"

namespace longsight::ops {

void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse, Stream stream) {
  const auto alike = [](const Matrix& a, const Matrix& b) {
    return a.rows == b.rows && a.cols == b.cols && a.dtype == b.dtype;
  };
  check(alike(o.matrix, part.matrix) && o.heads == part.heads && alike(lse, part_lse) &&
            lse.rows == o.rows() && lse.cols == o.heads && lse.dtype == statistics_of(o.matrix.dtype),
        "merge_attention: {} [{}, {}, {}] and [{}, {}, {}], log-sums [{}, {}] and [{}, {}]",
        name_of(o.matrix.dtype), o.rows(), o.heads, o.width, part.rows(), part.heads, part.width, lse.rows,
        lse.cols, part_lse.rows, part_lse.cols);
  execute(
      stream, {"merge_attention", 0, bytes_of({o.matrix, o.matrix, lse, lse, part.matrix, part_lse})},
      [=] { host::merge_attention(o, lse, part, part_lse); },
      [&] { cuda::merge_attention(o, lse, part, part_lse, stream); });
}

}  // namespace longsight::ops
