// How many neighbouring ranks change rows for heads in hybrid attention; the ring passes between such groups.
#pragma once

#include "runtime/base/number.h"

namespace longsight::parallel {

// Of `ranks` that share a sequence, `node` neighbours on each node (0: all on one), and so many query heads:
// a divisor of the ranks and of the node, so that no group lies on two nodes, and no more than the heads.
// Among these the one whose ranks are busiest (6 heads: 3 ranks of 2 heads rather than 4 of 2 and 1), of
// equals the largest. 1 (a ring) or all ranks (Ulysses) only where there is nothing between.
i64 hybrid_degree(i64 ranks, i64 heads, i64 node);

// Whether there is something between, and no more than `most` groups.
bool is_hybrid(i64 ranks, i64 heads, i64 node, i64 most);

}  // namespace longsight::parallel
