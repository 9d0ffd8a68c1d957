// What travels round a ring of ranks: in round j = 1, 2, ... rank r holds keys of rank r - j (modulo the
// ranks), which r - 1 held in the round before. Only rows that this rank or a later one needs go on, and the
// rounds end when nobody needs anything. The gradient of a block's keys goes with it, from reader to reader,
// and from the last one home. A block is the rows of its owner, counted from the first of them: of what is
// needed of it in several places, all that lies between goes too.
#pragma once

#include <vector>

#include "parallel/layout/counts.h"
#include "parallel/layout/cuts.h"

namespace longsight::parallel {

struct RingRound {
  std::vector<Counts::Pair> keys;       // rows, from each rank to the next one
  std::vector<Counts::Pair> gradients;  // rows, to the next rank or home

  // Of the rank that the route was made for:
  i64 owner = 0;            // of the block that it holds now
  RowRange sent;            // of the block that it held in the round before
  RowRange held;            // of the block that it holds now
  RowRange needed;          // of these, what its own queries see
  RowRange summed_before;   // whose gradient comes with the block
  RowRange summed;          // whose gradient leaves this rank
  RowRange home;            // of its own block: whose gradient comes back at the end of the round
  bool home_first = false;  // comes from a lower rank than the block of the next round
  i64 arriving = 0;  // rows of gradients that come at the end of the round: home's and the next block's
};

// Every round is a list of the ranks: more of them are for other strategies.
constexpr i64 kMostRanksOfRing = 256;

// needed[r]: the keys that the queries of rank r see, ranges of the stream. Time and memory in ranks x
// rounds. usage: more than kMostRanksOfRing ranks.
std::vector<RingRound> ring_route(const Cuts& cuts, const std::vector<std::vector<RowRange>>& needed,
                                  i64 rank);

}  // namespace longsight::parallel
