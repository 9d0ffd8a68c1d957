// The likeliest token of each row of logits.
#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// index [R] (i64) = the column of the largest element of each row of x [R, C], of equal ones the first; -1
// where one of them is not finite.
void argmax(Tensor index, Matrix x, Stream);

}  // namespace longsight::ops
