// A pair of channels turned by an angle (Su et al. 2021).
#pragma once

#include "runtime/base/host_device.h"

namespace longsight::ops::formulas {

template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S turned_first(S first, S second, S cos, S sin) {
  return first * cos - second * sin;
}
template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline S turned_second(S first, S second, S cos, S sin) {
  return second * cos + first * sin;
}

}  // namespace longsight::ops::formulas
