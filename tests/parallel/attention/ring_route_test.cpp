#include "parallel/attention/ring_route.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "runtime/base/philox.h"

namespace longsight::parallel {
namespace {

bool within(RowRange part, RowRange all) {
  return part.rows() == 0 || (all.begin <= part.begin && part.end <= all.end);
}

TEST_CASE("a causal sequence goes on to the later ranks only, and its gradient straight home") {
  const Cuts cuts{{0, 10, 20, 30}};
  const std::vector<RowRange> needed{{0, 10}, {0, 20}, {0, 30}};
  const std::vector<RingRound> first = ring_route(cuts, needed, 0);
  REQUIRE(first.size() == 2);
  CHECK(first[0].keys.total() == 20);       // 0 -> 1 and 1 -> 2
  CHECK(first[1].keys.total() == 10);       // the block of 0, 1 -> 2
  CHECK(first[0].gradients.total() == 20);  // of 0, 1 -> 2; of 1, 2 -> 1
  CHECK(first[0].gradients.at(2, 1) == 10);
  CHECK(first[1].gradients.at(2, 0) == 10);
  CHECK(first[1].gradients.total() == 10);
  CHECK(first[0].held.rows() == 0);
  CHECK(first[1].home.rows() == 10);
}

TEST_CASE("nothing moves where nobody needs anything, and one rank has no ring") {
  CHECK(ring_route(Cuts{{0, 5, 9}}, {{0, 5}, {5, 9}}, 1).empty());
  CHECK(ring_route(Cuts{{0, 5}}, {{0, 5}}, 0).empty());
}

TEST_CASE("every reader gets what it needs once, and every gradient comes home once, wherever the cuts are") {
  const Philox random(3, "ring");
  u64 draw = 0;
  const auto below = [&](i64 bound) {
    return static_cast<i64>(random.below(static_cast<u64>(bound), draw++));
  };
  for (int trial = 0; trial < 300; ++trial) {
    const i64 ranks = 1 + below(7), rows = below(40);
    Cuts cuts;
    for (i64 r = 1; r < ranks; ++r) cuts.at.push_back(below(rows + 1));
    cuts.at.push_back(rows);
    std::sort(cuts.at.begin(), cuts.at.end());
    std::vector<RowRange> needed;
    for (i64 r = 0; r < ranks; ++r) {
      const i64 a = below(rows + 1), b = below(rows + 1);
      needed.push_back({std::min(a, b), std::max(a, b)});
    }
    std::vector<std::vector<RingRound>> of_rank;
    for (i64 r = 0; r < ranks; ++r) of_rank.push_back(ring_route(cuts, needed, r));
    for (i64 r = 0; r < ranks; ++r) {
      const auto& route = of_rank[static_cast<std::size_t>(r)];
      REQUIRE(route.size() == of_rank.front().size());
      i64 read = std::max<i64>(0, std::min(cuts.end(r), needed[static_cast<std::size_t>(r)].end) -
                                      std::max(cuts.begin(r), needed[static_cast<std::size_t>(r)].begin));
      i64 homecomings = 0;
      for (std::size_t j = 0; j < route.size(); ++j) {
        const RingRound& round = route[j];
        const i64 next = (r + 1) % ranks, before = (r + ranks - 1) % ranks;
        CHECK(round.keys.fingerprint() == of_rank.front()[j].keys.fingerprint());
        CHECK(round.gradients.fingerprint() == of_rank.front()[j].gradients.fingerprint());
        CHECK(round.keys.total_sent_by(r) == round.sent.rows());
        CHECK(round.keys.at(r, next) == round.sent.rows());
        CHECK(round.keys.total_received_by(r) == round.held.rows());
        CHECK(within(round.needed, round.held));
        CHECK(within(round.needed, round.summed));
        CHECK(within(round.summed_before, round.summed));
        CHECK(round.gradients.total_sent_by(r) == round.summed.rows());
        if (j > 0) CHECK(within(round.sent, route[j - 1].held));
        const i64 onward = j + 1 < route.size() ? route[j + 1].summed_before.rows() : 0;
        CHECK(round.gradients.total_received_by(r) == onward + round.home.rows());
        if (onward > 0 && round.home.rows() > 0) {
          const bool lower = round.gradients.at(before, r) == onward;
          CHECK((lower || round.gradients.at(before, r) == onward + round.home.rows()));
        }
        read += round.needed.rows();
        homecomings += round.home.rows() > 0;
      }
      CHECK(read == needed[static_cast<std::size_t>(r)].rows());
      CHECK(homecomings <= 1);
    }
  }
}

}  // namespace
}  // namespace longsight::parallel
