#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::ops::host {

void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse);

}  // namespace longsight::ops::host
