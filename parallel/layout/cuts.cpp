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

namespace {

// Each even cut moved to the nearest boundary, of which `around(row)` tells the last one that does not lie
// behind the row and the first one that does not lie before it; the earlier one of two that are as near.
template <class Around>
Cuts nearest_cuts(i64 rows, i64 ranks, Around&& around) {
  Cuts cuts;
  for (i64 r = 1; r < ranks; ++r) {
    const i64 ideal = rows * r / ranks;
    const auto [below, above] = around(ideal);
    cuts.at.push_back(ideal - below <= above - ideal ? below : above);
  }
  cuts.at.push_back(rows);
  return cuts;
}

}  // namespace

Cuts cuts_at(const std::vector<i64>& boundaries, i64 ranks) {
  check(!boundaries.empty() && boundaries.front() == 0, "boundaries begin at row 0");
  return nearest_cuts(boundaries.back(), ranks, [&](i64 row) {
    const auto above = std::lower_bound(boundaries.begin(), boundaries.end(), row);
    return std::pair(above == boundaries.begin() ? *above : *(above - 1), *above);
  });
}

Cuts vision_cuts(const Geometry& g, i64 ranks, bool between_images) {
  if (between_images) return cuts_at(g.images.starts, ranks);
  const i64 rows = g.images.rows();
  if (g.merge == 1) return even_cuts(rows, ranks);
  // Boundaries are where images and their merge blocks begin, and the end.
  return nearest_cuts(rows, ranks, [&](i64 row) {
    const std::vector<i64>& starts = g.images.starts;
    const auto next = std::upper_bound(starts.begin(), starts.end(), row);
    if (next == starts.end()) return std::pair(rows, rows);
    const i64 image = *(next - 1), first_block = image + g.class_rows;
    if (row == image) return std::pair(image, image);
    if (row < first_block) return std::pair(image, first_block);
    const i64 below = first_block + (row - first_block) / g.merge * g.merge;
    return std::pair(below, row == below ? below : std::min(below + g.merge, *next));
  });
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
