// How a stream of rows is cut into one contiguous range per rank. Pure functions.
#pragma once

#include <vector>

#include "parallel/layout/geometry.h"

namespace longsight::parallel {

// Rank r holds rows [at[r], at[r + 1]); a range may be empty.
struct Cuts {
  std::vector<i64> at{0};

  i64 ranks() const { return static_cast<i64>(at.size()) - 1; }
  i64 begin(i64 rank) const { return at[static_cast<std::size_t>(rank)]; }
  i64 end(i64 rank) const { return at[static_cast<std::size_t>(rank) + 1]; }
  i64 rows(i64 rank) const { return end(rank) - begin(rank); }
  i64 owner(i64 row) const;  // the rank whose range holds the row
  friend bool operator==(const Cuts&, const Cuts&) = default;
};

Cuts even_cuts(i64 rows, i64 ranks);                          // ranges differ by at most one row
Cuts cuts_at(const std::vector<i64>& boundaries, i64 ranks);  // each even cut moved to the nearest boundary
Cuts vision_cuts(const Geometry&, i64 ranks, bool between_images);  // never inside a merge block
bool respects(const Cuts&, const PackedSequences&);                 // no sequence lies in two ranges

}  // namespace longsight::parallel
