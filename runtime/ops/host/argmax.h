// Host executor of runtime/ops/argmax.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/argmax.h"

namespace longsight::ops::host {

void argmax(Tensor index, Matrix x);

}  // namespace longsight::ops::host
