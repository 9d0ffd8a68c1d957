// Host executor of runtime/ops/combine.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/combine.h"

namespace longsight::ops::host {

void combine(Tensor y, std::span<const Tensor> terms, Combination);

}  // namespace longsight::ops::host
