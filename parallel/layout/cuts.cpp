#include "parallel/layout/cuts.h"

#include <algorithm>

namespace longsight::parallel {

i64 Cuts::owner(i64 row) const {
  check(row >= 0 && row < at.back(), "row {} of {}", row, at.back());
  // The last range that begins at or before the row: empty ranges before it begin there too.
  return static_cast<i64>(std::upper_bound(at.begin(), at.end(), row) - at.begin()) - 1;
}

Cuts even_cuts(i64 rows, i64 ranks) {
  Cuts cuts;
  for (i64 r = 1; r <= ranks; ++r) cuts.at.push_back(rows * r / ranks);
  return cuts;
}

Cuts cuts_at(const std::vector<i64>& boundaries, i64 ranks) {
  check(!boundaries.empty() && boundaries.front() == 0, "boundaries begin at row 0");
  const i64 rows = boundaries.back();
  Cuts cuts;
  for (i64 r = 1; r < ranks; ++r) {
    const i64 ideal = rows * r / ranks;
    auto above = std::lower_bound(boundaries.begin(), boundaries.end(), ideal);
    i64 nearest = *above;
    if (above != boundaries.begin() && ideal - *(above - 1) <= *above - ideal) nearest = *(above - 1);
    cuts.at.push_back(nearest);
  }
  cuts.at.push_back(rows);
  return cuts;
}

Cuts vision_cuts(const Geometry& g, i64 ranks, bool between_images) {
  if (between_images) return cuts_at(g.images.starts, ranks);
  if (g.merge == 1) return even_cuts(g.images.rows(), ranks);
  std::vector<i64> boundaries;
  for (i64 image = 0; image < g.images.count(); ++image) {
    const i64 first = g.images.starts[static_cast<std::size_t>(image)];
    const i64 last = g.images.starts[static_cast<std::size_t>(image) + 1];
    if (g.class_rows > 0) boundaries.push_back(first);
    for (i64 row = first + g.class_rows; row < last; row += g.merge) boundaries.push_back(row);
  }
  boundaries.push_back(g.images.rows());
  return cuts_at(boundaries, ranks);
}

bool respects(const Cuts& cuts, const PackedSequences& sequences) {
  return std::all_of(cuts.at.begin(), cuts.at.end(), [&](i64 cut) {
    return std::binary_search(sequences.starts.begin(), sequences.starts.end(), cut);
  });
}

}  // namespace longsight::parallel
