#include "runtime/ops/host/merge_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

template <class T>
void merge_head(T* o, T& lse, const T* part, T part_lse, i64 width) {
  if (part_lse == -std::numeric_limits<T>::infinity()) return;
  const T largest = std::max(lse, part_lse);
  const T here = std::exp(lse - largest), there = std::exp(part_lse - largest), sum = here + there;
  const T keep = here / sum, add = there / sum;
#pragma omp simd
  for (i64 c = 0; c < width; ++c) o[c] = keep * o[c] + add * part[c];
  lse = largest + std::log(sum);
}

}  // namespace

void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse) {
  dispatch(o.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    T *const y = o.matrix.host<T>(), *const y_lse = lse.host<T>();
    const T *const x = part.matrix.host<T>(), *const x_lse = part_lse.host<T>();
    parallel_items(o.rows(), o.rows() * o.matrix.cols, [&](i64 r) {
      for (i64 h = 0; h < o.heads; ++h) {
        merge_head(y + r * o.matrix.stride + h * o.width, y_lse[r * lse.stride + h],
                   x + r * part.matrix.stride + h * part.width, x_lse[r * part_lse.stride + h], o.width);
      }
    });
  });
}

}  // namespace longsight::ops::host
