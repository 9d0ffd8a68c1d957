// Which heads a rank works on in Ulysses attention: query heads are split as evenly as they go (ranks may
// differ by one head, and ranks beyond the head count get none); a rank needs just the KV heads that its
// query heads use.
#pragma once

#include "runtime/base/number.h"

namespace longsight::parallel {

struct HeadRange {
  i64 first_q = 0;
  i64 q = 0;
  i64 first_kv = 0;
  i64 kv = 0;
  i64 heads() const { return q + 2 * kv; }  // query, key and value heads
};

inline HeadRange head_range(i64 heads, i64 kv_heads, i64 ranks, i64 rank) {
  if (heads == 0) return {};  // a tower that is not there
  const i64 group = exact_div(heads, kv_heads);
  const i64 first = heads * rank / ranks, last = heads * (rank + 1) / ranks;
  if (first == last) return {first, 0, first / group, 0};
  return {first, last - first, first / group, (last - 1) / group + 1 - first / group};
}

}  // namespace longsight::parallel
