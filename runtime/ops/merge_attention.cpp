#include "runtime/ops/merge_attention.h"

#include "runtime/ops/cuda/merge_attention.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/merge_attention.h"

namespace longsight::ops {

void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse, Stream stream) {
  const DType type = part.matrix.dtype, sums = statistics_of(type);
  const auto per_head = [&](const Matrix& m) {
    return m.rows == o.rows() && m.cols == o.heads && m.dtype == sums;
  };
  check(o.rows() == part.rows() && o.heads == part.heads && o.width == part.width &&
            (o.matrix.dtype == type || o.matrix.dtype == sums) && per_head(lse) && per_head(part_lse),
        "merge_attention: {} [{}, {}, {}] and [{}, {}, {}], log-sums [{}, {}] and [{}, {}]",
        name_of(o.matrix.dtype), o.rows(), o.heads, o.width, part.rows(), part.heads, part.width, lse.rows,
        lse.cols, part_lse.rows, part_lse.cols);
  execute(
      stream, {"merge_attention", 0, bytes_of({o.matrix, o.matrix, lse, lse, part.matrix, part_lse})},
      [=] { host::merge_attention(o, lse, part, part_lse); },
      [&] { cuda::merge_attention(o, lse, part, part_lse, stream); });
}

}  // namespace longsight::ops
