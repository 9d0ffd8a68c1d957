#include "parallel/layout/cuts.h"

#include <algorithm>

namespace longsight::parallel {

i64 Cuts::rows(i64 rank) const {
  return piece(rank).rows() + (zigzag ? piece(pieces() - 1 - rank).rows() : 0);
}

RowRange Cuts::range(i64 rank) const {
  check(!zigzag, "rank {} of a zigzag has no one range", rank);
  return piece(rank);
}

std::vector<RowRange> Cuts::ranges(i64 rank) const {
  std::vector<RowRange> all;
  const RowRange first = piece(rank);
  if (first.rows() > 0) all.push_back(first);
  if (!zigzag) return all;
  const RowRange second = piece(pieces() - 1 - rank);
  if (second.rows() == 0) return all;
  if (!all.empty() && first.end == second.begin) {
    all.back().end = second.end;
  } else {
    all.push_back(second);
  }
  return all;
}

Cuts::Place Cuts::place(i64 row) const {
  check(row >= 0 && row < total(), "row {} of {}", row, total());
  // The last piece that begins at or before the row: empty pieces before it begin there too.
  const i64 p = static_cast<i64>(std::upper_bound(at.begin(), at.end(), row) - at.begin()) - 1;
  const i64 rank = owner_of_piece(p), before = p == rank ? 0 : piece(rank).rows();
  return {rank, before + row - piece(p).begin, piece(p).end - row};
}

Cuts even_cuts(i64 rows, i64 ranks) {
  Cuts cuts;
  for (i64 r = 1; r <= ranks; ++r) cuts.at.push_back(rows * r / ranks);
  return cuts;
}

Cuts zigzag_cuts(i64 rows, i64 ranks) {
  const Cuts shares = even_cuts(rows, ranks);
  Cuts cuts{.at = {0}, .zigzag = true};
  for (i64 r = 0; r < ranks; ++r) cuts.at.push_back(cuts.at.back() + ceil_div(shares.rows(r), 2));
  for (i64 r = ranks - 1; r >= 0; --r) cuts.at.push_back(cuts.at.back() + shares.rows(r) / 2);
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

Cuts cuts_of_groups(const Cuts& cuts, i64 size) {
  Cuts groups{.at = {}, .zigzag = cuts.zigzag};
  exact_div(cuts.ranks(), size);
  for (i64 p = 0; p <= cuts.pieces(); p += size) groups.at.push_back(cuts.at[static_cast<std::size_t>(p)]);
  return groups;
}

bool respects(const Cuts& cuts, const PackedSequences& sequences) {
  return !cuts.zigzag && std::all_of(cuts.at.begin(), cuts.at.end(), [&](i64 cut) {
    return std::binary_search(sequences.starts.begin(), sequences.starts.end(), cut);
  });
}

}  // namespace longsight::parallel
