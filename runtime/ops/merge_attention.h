// Attention over all keys from attention over parts of them (Liu et al. 2023, Dao et al. 2022): the results
// are averaged with the sums of exponentials as their weights.
#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// o [T, H, D] and lse [T, H] of some keys become those of these keys and the ones that `part` [T, H, D] and
// `part_lse` [T, H] are of; no key may be in both. o is of part's type T or of its statistics' type, in which
// nothing is rounded on the way; both lse are of the latter. A log-sum of -infinity: no key was seen, the
// result counts nothing. Same bits for every thread count.
void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse, Stream);

}  // namespace longsight::ops
