// How the memory of parameters is dealt over ranks (ZeRO, Rajbhandari et al. 2020). What is dealt is cut
// bucket by bucket into intervals, so that every rank has its part of all that is gathered together.
#pragma once

#include <algorithm>

#include "runtime/base/number.h"

namespace longsight {

struct Sharding {
  // 0: every rank holds all; 1: the optimizer's moments are dealt; 2: gradients too; 3: values too.
  int stage = 0;
  i64 rank = 0, ranks = 1;

  bool moments() const { return stage >= 1; }
  bool gradients() const { return stage >= 2; }
  bool values() const { return stage >= 3; }
  friend bool operator==(const Sharding&, const Sharding&) = default;
};

// Elements [begin, end) of something; empty where the end is not behind the begin.
struct Share {
  i64 begin = 0, end = 0;
  i64 elements() const { return std::max(i64{0}, end - begin); }
  friend bool operator==(const Share&, const Share&) = default;
};

// What a rank has of so many elements: equal intervals, the first ones longer by one where it does not come
// out even.
inline Share share_of(i64 elements, i64 rank, i64 ranks) {
  const i64 each = elements / ranks, more = elements % ranks;
  const i64 begin = each * rank + std::min(rank, more);
  return {begin, begin + each + (rank < more ? 1 : 0)};
}

inline Share common_part(const Share& a, const Share& b) {
  return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

}  // namespace longsight
