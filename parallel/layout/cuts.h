// How a stream of rows is cut over the ranks: one contiguous range each, or, in a zigzag, two. Pure
// functions.
#pragma once

#include <vector>

#include "parallel/layout/geometry.h"

namespace longsight::parallel {

// Piece p is rows [at[p], at[p + 1]) of the stream; it may be empty. Of P ranks, rank r holds piece r; in a
// zigzag pieces r and 2 P - 1 - r, so that of a causal sequence every rank has rows that see few keys and as
// many that see many (as in the training of Llama 3, 2024). A rank's rows are its pieces end to end, in the
// order of the stream.
struct Cuts {
  std::vector<i64> at{0};
  bool zigzag = false;

  i64 pieces() const { return static_cast<i64>(at.size()) - 1; }
  i64 ranks() const { return zigzag ? pieces() / 2 : pieces(); }
  i64 total() const { return at.back(); }  // rows of the stream
  i64 rows(i64 rank) const;
  RowRange piece(i64 p) const {
    return {at[static_cast<std::size_t>(p)], at[static_cast<std::size_t>(p) + 1]};
  }
  i64 owner_of_piece(i64 p) const { return p < ranks() ? p : pieces() - 1 - p; }

  // The rank's rows as ranges of the stream: ascending, with others' rows between them, none of them empty.
  std::vector<RowRange> ranges(i64 rank) const;
  // Where each rank has one range, which may be empty; throws for a zigzag.
  RowRange range(i64 rank) const;
  i64 begin(i64 rank) const { return range(rank).begin; }
  i64 end(i64 rank) const { return range(rank).end; }

  struct Place {
    i64 rank = 0;
    i64 row = 0;        // among the rank's rows
    i64 following = 0;  // rows from this one on, itself included, that lie behind it there as in the stream
  };
  Place place(i64 row) const;
  i64 owner(i64 row) const { return place(row).rank; }

  friend bool operator==(const Cuts&, const Cuts&) = default;
};

Cuts even_cuts(i64 rows, i64 ranks);                          // ranges differ by at most one row
Cuts zigzag_cuts(i64 rows, i64 ranks);                        // ranks' shares differ by at most one row
Cuts cuts_at(const std::vector<i64>& boundaries, i64 ranks);  // each even cut moved to the nearest boundary
Cuts vision_cuts(const Geometry&, i64 ranks, bool between_images);  // never inside a merge block
// Of groups of `size` neighbouring ranks, a divisor of the ranks, as if each were one rank. Where a group
// holds several pieces, its rows are in the order of the stream, not of its ranks.
Cuts cuts_of_groups(const Cuts&, i64 size);
bool respects(const Cuts&, const PackedSequences&);  // one range each, and no sequence lies in two

}  // namespace longsight::parallel
