// The larger of two numbers; NaN where one is NaN.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "runtime/base/host_device.h"

namespace longsight::ops::formulas {

template <class T>
LONGSIGHT_HD inline T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
  }
  return a < b ? b : a;
}

}  // namespace longsight::ops::formulas
