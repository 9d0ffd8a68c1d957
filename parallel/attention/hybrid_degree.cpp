#include "parallel/attention/hybrid_degree.h"

#include <algorithm>

namespace longsight::parallel {

i64 hybrid_degree(i64 ranks, i64 heads, i64 node) {
  const i64 most = std::min(ranks, std::max<i64>(heads, 1));
  // Heads of the fullest rank times the ranks that have some: least where none waits for another.
  const auto taken = [&](i64 size) { return size * ceil_div(std::max<i64>(heads, 1), size); };
  i64 best = 1;
  for (i64 size = 2; size <= most; ++size) {
    if (ranks % size != 0 || (node > 0 && node % size != 0)) continue;
    const bool between = size < ranks;
    if (best == 1 || (between && taken(size) <= taken(best))) best = size;
  }
  return best;
}

bool is_hybrid(i64 ranks, i64 heads, i64 node, i64 most) {
  const i64 size = hybrid_degree(ranks, heads, node);
  return size > 1 && size < ranks && ranks / size <= most;
}

}  // namespace longsight::parallel
