// What an element of a row becomes in RMS norm and layer norm, and its gradient.
#pragma once

#include <cmath>

#include "runtime/base/host_device.h"

namespace longsight::ops::formulas {

template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S reciprocal_root(S mean_square, S eps) {
  return S(1) / std::sqrt(mean_square + eps);
}

template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S rms_value(S x, S rstd, S gain, S offset) {
  return x * rstd * (gain + offset);
}

// Of the sum over the row of (gradient of the normalised row) * x: what pulls every element of dx.
template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S rms_pull(S dot, S rstd, S width) {
  return dot * rstd * rstd * rstd / width;
}
template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S rms_slope(S dy, S x, S rstd, S gain, S offset, S pull) {
  return rstd * dy * (gain + offset) - x * pull;
}

template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S layer_value(S x, S mean, S rstd, S gain, S bias) {
  return (x - mean) * rstd * gain + bias;
}

// mean_sum and mean_dot: means over the row of the gradient of the normalised row, and of its product with
// that row.
template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S layer_slope(S dy, S normal, S rstd, S gain, S mean_sum,
                                                         S mean_dot) {
  return rstd * (dy * gain - mean_sum - normal * mean_dot);
}

}  // namespace longsight::ops::formulas
