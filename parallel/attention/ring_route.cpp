#include "parallel/attention/ring_route.h"

#include <algorithm>

namespace longsight::parallel {
namespace {

RowRange common(RowRange a, RowRange b) {
  const RowRange both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.begin < both.end ? both : RowRange{};
}

RowRange hull(RowRange a, RowRange b) {
  if (a.rows() == 0) return b;
  if (b.rows() == 0) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

// The ring seen from the owners of blocks: the reader of round j of the block of rank s is rank s + j.
class Ring {
 public:
  Ring(const Cuts& cuts, const std::vector<RowRange>& needed) : cuts_(cuts), needed_(needed) {}

  i64 ranks() const { return cuts_.ranks(); }
  i64 wrapped(i64 rank) const { return ((rank % ranks()) + ranks()) % ranks(); }
  RowRange read(i64 owner, i64 round) const {
    return common({cuts_.begin(owner), cuts_.end(owner)},
                  needed_[static_cast<std::size_t>(wrapped(owner + round))]);
  }

 private:
  const Cuts& cuts_;
  const std::vector<RowRange>& needed_;
};

}  // namespace

std::vector<RingRound> ring_route(const Cuts& cuts, const std::vector<RowRange>& needed, i64 rank) {
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
    std::vector<Counts::Pair> pairs;
    for (i64 owner = 0; owner < ranks; ++owner) {
      const RowRange read = ring.read(owner, j);
      if (at(last, owner) == 0 && read.rows() > 0) at(last, owner) = j;
      at(held, owner) = hull(at(held, owner), read);
      const i64 from = ring.wrapped(owner + j - 1), to = ring.wrapped(owner + j),
                rows = at(held, owner).rows();
      if (rows == 0) continue;
      pairs.push_back({from, to, rows});
      if (from == rank) round.sent = at(held, owner);
      if (to == rank) round.held = at(held, owner);
    }
    round.keys = Counts::pairs(ranks, std::move(pairs));
    round.needed = ring.read(ring.wrapped(rank - j), j);
  }
  rounds.resize(static_cast<std::size_t>(*std::max_element(last.begin(), last.end())));

  // From the first round to the last: whose gradient has been summed.
  std::vector<RowRange> summed(static_cast<std::size_t>(ranks));
  for (i64 j = 1; j <= static_cast<i64>(rounds.size()); ++j) {
    RingRound& round = at(rounds, j - 1);
    std::vector<Counts::Pair> pairs;
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
      if (at(summed, owner).rows() == 0) continue;
      pairs.push_back({here, goes_home ? owner : ring.wrapped(here + 1), at(summed, owner).rows()});
    }
    round.gradients = Counts::pairs(ranks, std::move(pairs));
  }
  return rounds;
}

}  // namespace longsight::parallel
