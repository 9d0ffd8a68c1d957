// Private to the host ops: an activation function on neighbours.
#pragma once

#include "runtime/ops/formulas/activation.h"

namespace longsight::ops::host {

// y = f(x) for `count` neighbours, computed as statistics are; y may be x.
template <class F, class T>
void apply_activation(F, T* y, const T* x, i64 count) {
  using S = Statistics<T>;
#pragma omp simd
  for (i64 i = 0; i < count; ++i) y[i] = F::value(S(x[i]));
}

}  // namespace longsight::ops::host
