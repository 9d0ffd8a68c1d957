// Weights with which two results of attention over different keys are averaged.
#pragma once

#include <cmath>
#include <limits>

#include "runtime/base/host_device.h"

namespace longsight::ops::formulas {

template <class S>
struct MergeWeights {
  S keep, add;  // of the result that is there, and of the one that comes
  S lse;        // of both
};

// part_lse is not -infinity.
template <class S>
[[gnu::always_inline]] LONGSIGHT_HD inline MergeWeights<S> merge_weights(S lse, S part_lse) {
  const S largest = lse < part_lse ? part_lse : lse;
  const S here = std::exp(lse - largest), there = std::exp(part_lse - largest), sum = here + there;
  return {here / sum, there / sum, largest + std::log(sum)};
}

}  // namespace longsight::ops::formulas
