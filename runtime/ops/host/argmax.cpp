#include "runtime/ops/host/argmax.h"

#include <cmath>

#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

template <class T>
i64 largest(const T* x, i64 count) {
  i64 best = 0;
  for (i64 i = 0; i < count; ++i) {
    if (!std::isfinite(Statistics<T>(x[i]))) return -1;
    if (x[i] > x[best]) best = i;
  }
  return best;
}

}  // namespace

void argmax(Tensor index, Matrix x) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    i64* const out = index.host<i64>();
    const T* const in = x.host<T>();
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) { out[r] = largest(in + r * x.stride, x.cols); });
  });
}

}  // namespace longsight::ops::host
