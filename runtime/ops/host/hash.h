// Host executor of runtime/ops/hash.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/hash.h"

namespace longsight::ops::host {

void hash(Tensor out, Tensor x);

}  // namespace longsight::ops::host
