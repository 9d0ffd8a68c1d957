#include "runtime/ops/host/merge_attention.h"

#include <limits>

#include "runtime/ops/formulas/merge.h"
#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

template <class O, class T, class S>
void merge_head(O* o, S& lse, const T* part, S part_lse, i64 width) {
  if (part_lse == -std::numeric_limits<S>::infinity()) return;
  const formulas::MergeWeights<S> weights = formulas::merge_weights(lse, part_lse);
  const S keep = weights.keep, add = weights.add;
#pragma omp simd
  for (i64 c = 0; c < width; ++c) o[c] = keep * o[c] + add * part[c];
  lse = weights.lse;
}

}  // namespace

void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse) {
  dispatch(part.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    S* const y_lse = lse.host<S>();
    const T* const x = part.matrix.host<T>();
    const S* const x_lse = part_lse.host<S>();
    const auto merge_into = [&](auto* y) {
      parallel_items(o.rows(), o.rows() * o.matrix.cols, [&](i64 r) {
        for (i64 h = 0; h < o.heads; ++h) {
          merge_head(y + r * o.matrix.stride + h * o.width, y_lse[r * lse.stride + h],
                     x + r * part.matrix.stride + h * part.width, x_lse[r * part_lse.stride + h], o.width);
        }
      });
    };
    if (o.matrix.dtype == part.matrix.dtype) return merge_into(o.matrix.host<T>());
    merge_into(o.matrix.host<S>());
  });
}

}  // namespace longsight::ops::host
