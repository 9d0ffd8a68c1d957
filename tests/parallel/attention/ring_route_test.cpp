#include "parallel/attention/ring_route.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "parallel/attention/attention_tile.h"
#include "runtime/base/philox.h"

namespace longsight::parallel {
namespace {

bool within(RowRange part, RowRange all) {
  return part.rows() == 0 || (all.begin <= part.begin && part.end <= all.end);
}

TEST_CASE("a causal sequence goes on to the later ranks only, and its gradient straight home") {
  const Cuts cuts{{0, 10, 20, 30}};
  const std::vector<std::vector<RowRange>> needed{{{0, 10}}, {{0, 20}}, {{0, 30}}};
  const std::vector<RingRound> first = ring_route(cuts, needed, 0);
  REQUIRE(first.size() == 2);
  const auto counts = [](const std::vector<Counts::Pair>& pairs) { return Counts::pairs(3, pairs); };
  CHECK(counts(first[0].keys).total() == 20);       // 0 -> 1 and 1 -> 2
  CHECK(counts(first[1].keys).total() == 10);       // the block of 0, 1 -> 2
  CHECK(counts(first[0].gradients).total() == 20);  // of 0, 1 -> 2; of 1, 2 -> 1
  CHECK(counts(first[0].gradients).at(2, 1) == 10);
  CHECK(counts(first[1].gradients).at(2, 0) == 10);
  CHECK(counts(first[1].gradients).total() == 10);
  CHECK(first[0].held.rows() == 0);
  CHECK(first[1].home.rows() == 10);
}

TEST_CASE("nothing moves where nobody needs anything, and one rank has no ring") {
  CHECK(ring_route(Cuts{{0, 5, 9}}, {{{0, 5}}, {{5, 9}}}, 1).empty());
  CHECK(ring_route(Cuts{{0, 5}}, {{{0, 5}}}, 0).empty());
}

TEST_CASE("in a zigzag each round of a causal sequence is half a block or half the queries") {
  const Cuts cuts = zigzag_cuts(40, 4);  // pieces of 5 rows; rank r holds r and 7 - r
  std::vector<std::vector<RowRange>> needed;
  for (i64 r = 0; r < 4; ++r) needed.push_back({{0, cuts.piece(r).end}, {0, cuts.piece(7 - r).end}});
  for (i64 r = 0; r < 4; ++r) {
    const std::vector<RingRound> rounds = ring_route(cuts, needed, r);
    REQUIRE(rounds.size() == 3);
    for (std::size_t j = 0; j < rounds.size(); ++j) {
      const i64 owner = (r + 3 - static_cast<i64>(j)) % 4;
      CHECK(rounds[j].owner == owner);
      // Of lower ranks the earlier piece alone is seen, of higher ones both.
      CHECK(rounds[j].needed.begin == 0);
      CHECK(rounds[j].needed.end == (owner < r ? 5 : 10));
    }
  }
}

TEST_CASE("every reader gets what it needs once, and every gradient comes home once, wherever the cuts are") {
  const Philox random(3, "ring");
  u64 draw = 0;
  const auto below = [&](i64 bound) {
    return static_cast<i64>(random.below(static_cast<u64>(bound), draw++));
  };
  for (int trial = 0; trial < 300; ++trial) {
    const i64 ranks = 1 + below(7), rows = below(40);
    Cuts cuts{.at = {0}, .zigzag = trial % 2 == 1};
    for (i64 p = 1; p < ranks * (cuts.zigzag ? 2 : 1); ++p) cuts.at.push_back(below(rows + 1));
    cuts.at.push_back(rows);
    std::sort(cuts.at.begin(), cuts.at.end());
    std::vector<std::vector<RowRange>> needed;
    for (i64 r = 0; r < ranks; ++r) {
      needed.emplace_back();
      for (i64 i = below(3); i >= 0; --i) {
        const i64 a = below(rows + 1), b = below(rows + 1);
        needed.back().push_back({std::min(a, b), std::max(a, b)});
      }
    }
    // Of a block what anybody needs, and what lies between, in rows of the block.
    const auto hull = [&](i64 owner, i64 reader) {
      RowRange all;
      for (const Piece& piece : pieces_of(cuts.ranges(owner))) {
        for (i64 row = piece.rows.begin; row < piece.rows.end; ++row) {
          for (const RowRange& range : needed[static_cast<std::size_t>(reader)]) {
            if (row < range.begin || row >= range.end) continue;
            const i64 at = piece.first + row - piece.rows.begin;
            all = all.rows() == 0 ? RowRange{at, at + 1}
                                  : RowRange{std::min(all.begin, at), std::max(all.end, at + 1)};
          }
        }
      }
      return all;
    };
    std::vector<std::vector<RingRound>> of_rank;
    for (i64 r = 0; r < ranks; ++r) of_rank.push_back(ring_route(cuts, needed, r));
    for (i64 r = 0; r < ranks; ++r) {
      const auto& route = of_rank[static_cast<std::size_t>(r)];
      REQUIRE(route.size() == of_rank.front().size());
      i64 homecomings = 0;
      for (i64 j = static_cast<i64>(route.size()) + 1; j < ranks; ++j)
        CHECK(hull((r + ranks - j) % ranks, r).rows() == 0);  // the rounds have ended
      for (std::size_t j = 0; j < route.size(); ++j) {
        const RingRound& round = route[j];
        const i64 next = (r + 1) % ranks, before = (r + ranks - 1) % ranks;
        const Counts keys = Counts::pairs(ranks, round.keys),
                     gradients = Counts::pairs(ranks, round.gradients);
        const RingRound& others = of_rank.front()[j];
        CHECK(keys.fingerprint() == Counts::pairs(ranks, others.keys).fingerprint());
        CHECK(gradients.fingerprint() == Counts::pairs(ranks, others.gradients).fingerprint());
        CHECK(keys.total_sent_by(r) == round.sent.rows());
        CHECK(keys.at(r, next) == round.sent.rows());
        CHECK(keys.total_received_by(r) == round.held.rows());
        CHECK(round.owner == (r + 2 * ranks - 1 - static_cast<i64>(j)) % ranks);
        const RowRange read = hull(round.owner, r);
        CHECK(round.needed.begin == read.begin);
        CHECK(round.needed.end == read.end);
        CHECK(within(round.needed, round.held));
        CHECK(within(round.needed, round.summed));
        CHECK(within(round.summed_before, round.summed));
        CHECK(gradients.total_sent_by(r) == round.summed.rows());
        if (j > 0) CHECK(within(round.sent, route[j - 1].held));
        const i64 onward = j + 1 < route.size() ? route[j + 1].summed_before.rows() : 0;
        CHECK(gradients.total_received_by(r) == onward + round.home.rows());
        CHECK(round.arriving == onward + round.home.rows());
        if (onward > 0 && round.home.rows() > 0) {
          const bool lower = gradients.at(before, r) == onward;
          CHECK((lower || gradients.at(before, r) == onward + round.home.rows()));
        }
        homecomings += round.home.rows() > 0;
      }
      CHECK(homecomings <= 1);
    }
  }
}

}  // namespace
}  // namespace longsight::parallel
