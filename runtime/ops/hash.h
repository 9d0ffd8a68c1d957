// A hash of memory, to compare what ranks hold without sending it.
#pragma once

#include "runtime/tensor/tensor.h"

namespace longsight::ops {

// out [2] (i64) = XXH3-128 of the bytes of x, low half first.
void hash(Tensor out, Tensor x, Stream);

}  // namespace longsight::ops
