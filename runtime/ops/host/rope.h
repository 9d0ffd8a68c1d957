// Host executor of runtime/ops/rope.h, whose contracts hold and are checked there.
#pragma once

#include "runtime/ops/rope.h"

namespace longsight::ops::host {

void rope(Heads x, Tensor cos, Tensor sin, Turn);
void rope_angles(Tensor cos, Tensor sin, const RopeAngles&, Stream);

}  // namespace longsight::ops::host
