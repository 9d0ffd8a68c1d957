#include "parallel/attention/ring_route.h"

#include <algorithm>

#include "parallel/attention/attention_tile.h"

namespace longsight::parallel {
namespace {

RowRange hull(RowRange a, RowRange b) {
  if (a.rows() == 0) return b;
  if (b.rows() == 0) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

// The ring seen from the owners of blocks: the reader of round j of the block of rank s is rank s + j.
class Ring {
 public:
  Ring(const Cuts& cuts, const std::vector<std::vector<RowRange>>& needed) : needed_(needed) {
    for (i64 r = 0; r < cuts.ranks(); ++r) blocks_.push_back(pieces_of(cuts.ranges(r)));
  }

  i64 ranks() const { return static_cast<i64>(blocks_.size()); }
  i64 wrapped(i64 rank) const { return ((rank % ranks()) + ranks()) % ranks(); }
  RowRange read(i64 owner, i64 round) const {
    RowRange rows;
    for (const Piece& piece : blocks_[static_cast<std::size_t>(owner)]) {
      for (const RowRange& needed : needed_[static_cast<std::size_t>(wrapped(owner + round))]) {
        const RowRange both = common_rows(piece.rows, needed);
        if (both.rows() == 0) continue;
        const i64 first = piece.first + both.begin - piece.rows.begin;
        rows = hull(rows, {first, first + both.rows()});
      }
    }
    return rows;
  }

 private:
  const std::vector<std::vector<RowRange>>& needed_;
  std::vector<std::vector<Piece>> blocks_;  // by owner
};

}  // namespace

std::vector<RingRound> ring_route(const Cuts& cuts, const std::vector<std::vector<RowRange>>& needed,
                                  i64 rank) {
  const Ring ring(cuts, needed);
  const i64 ranks = ring.ranks();
  require(ranks <= kMostRanksOfRing, ExitCode::usage,
          "ring attention over {} ranks: at most {}; ulysses and gather take any number", ranks,
          kMostRanksOfRing);
  const auto at = [](auto& of_owner, i64 owner) -> auto& {
    return of_owner[static_cast<std::size_t>(owner)];
  };
  std::vector<RingRound> rounds(static_cast<std::size_t>(ranks) - 1);

  // From the last round to the first: what is still needed.
  std::vector<RowRange> held(static_cast<std::size_t>(ranks));
  std::vector<i64> last(static_cast<std::size_t>(ranks), 0);  // round of a block's last reader
  for (i64 j = ranks - 1; j >= 1; --j) {
    RingRound& round = at(rounds, j - 1);
    round.owner = ring.wrapped(rank - j);
    for (i64 owner = 0; owner < ranks; ++owner) {
      const RowRange read = ring.read(owner, j);
      if (at(last, owner) == 0 && read.rows() > 0) at(last, owner) = j;
      at(held, owner) = hull(at(held, owner), read);
      const i64 from = ring.wrapped(owner + j - 1), to = ring.wrapped(owner + j),
                rows = at(held, owner).rows();
      if (rows == 0) continue;
      round.keys.push_back({from, to, rows});
      if (from == rank) round.sent = at(held, owner);
      if (to == rank) round.held = at(held, owner);
    }
    round.needed = ring.read(round.owner, j);
  }
  rounds.resize(static_cast<std::size_t>(*std::max_element(last.begin(), last.end())));

  // From the first round to the last: whose gradient has been summed.
  std::vector<RowRange> summed(static_cast<std::size_t>(ranks));
  for (i64 j = 1; j <= static_cast<i64>(rounds.size()); ++j) {
    RingRound& round = at(rounds, j - 1);
    for (i64 owner = 0; owner < ranks; ++owner) {
      if (j > at(last, owner)) continue;
      const i64 here = ring.wrapped(owner + j);
      const bool goes_home = j == at(last, owner);
      if (here == rank) round.summed_before = at(summed, owner);
      at(summed, owner) = hull(at(summed, owner), ring.read(owner, j));
      if (here == rank) round.summed = at(summed, owner);
      if (goes_home && owner == rank) {
        round.home = at(summed, owner);
        round.home_first = here < ring.wrapped(rank - 1);
      }
      const i64 to = goes_home ? owner : ring.wrapped(here + 1), rows = at(summed, owner).rows();
      if (rows == 0) continue;
      round.gradients.push_back({here, to, rows});
      if (to == rank) round.arriving += rows;
    }
  }
  return rounds;
}

}  // namespace longsight::parallel
