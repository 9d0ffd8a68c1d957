#include "parallel/layout/cuts.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "parallel/attention/head_split.h"
#include "runtime/base/philox.h"

namespace longsight::parallel {
namespace {

TEST_CASE("even cuts hold every row once and differ by at most one row") {
  for (i64 rows : {0, 1, 2, 7, 64, 1001}) {
    for (i64 ranks : {1, 2, 3, 4, 8}) {
      const Cuts cuts = even_cuts(rows, ranks);
      CHECK(cuts.ranks() == ranks);
      CHECK(cuts.at.back() == rows);
      for (i64 r = 0; r < ranks; ++r) {
        CHECK(cuts.rows(r) >= rows / ranks);
        CHECK(cuts.rows(r) <= rows / ranks + 1);
        for (i64 row = cuts.begin(r); row < cuts.end(r); ++row) CHECK(cuts.owner(row) == r);
      }
    }
  }
}

TEST_CASE("cuts at boundaries fall on boundaries, in order, even with fewer boundaries than ranks") {
  const Philox random(1, "boundaries");
  for (u64 trial = 0; trial < 50; ++trial) {
    std::vector<i64> boundaries{0};
    for (u64 i = 0; i < trial % 7; ++i)
      boundaries.push_back(boundaries.back() + 1 + static_cast<i64>(random.below(30, trial * 10 + i)));
    for (i64 ranks : {1, 2, 3, 8}) {
      const Cuts cuts = cuts_at(boundaries, ranks);
      CHECK(cuts.at.back() == boundaries.back());
      for (std::size_t i = 0; i < cuts.at.size(); ++i) {
        CHECK(std::find(boundaries.begin(), boundaries.end(), cuts.at[i]) != boundaries.end());
        if (i > 0) CHECK(cuts.at[i] >= cuts.at[i - 1]);
      }
    }
  }
}

TEST_CASE("an empty range owns no row, its neighbour does") {
  const Cuts cuts{{0, 4, 4, 9}};
  CHECK(cuts.owner(3) == 0);
  CHECK(cuts.owner(4) == 2);
  CHECK_THROWS(cuts.owner(9));
}

TEST_CASE("vision cuts never fall inside a merge block, nor between images only by chance") {
  Geometry g;
  g.class_rows = 1;
  g.merge = 4;
  for (i64 blocks : {3, 5, 1}) g.images.append(1 + 4 * blocks);
  for (i64 ranks : {1, 2, 3, 8}) {
    for (i64 cut : vision_cuts(g, ranks, false).at) {
      // Legal: the start of an image, or a whole number of blocks behind its class row.
      bool legal = cut == g.images.rows();
      for (i64 i = 0; i < g.images.count(); ++i) {
        const i64 first = g.images.starts[static_cast<std::size_t>(i)],
                  last = g.images.starts[static_cast<std::size_t>(i) + 1];
        legal |= cut == first || (cut > first && cut < last && (cut - first - 1) % 4 == 0);
      }
      CHECK(legal);
    }
    CHECK(respects(vision_cuts(g, ranks, true), g.images));
  }
  CHECK_FALSE(respects(even_cuts(g.images.rows(), 2), g.images));
}

TEST_CASE("every query head is on one rank, with its KV head beside it") {
  for (i64 kv : {1, 2, 3, 4}) {
    for (i64 group : {1, 2, 3, 7}) {
      const i64 heads = kv * group;
      for (i64 ranks : {1, 2, 3, 4, 8, 40}) {
        i64 next = 0;
        for (i64 r = 0; r < ranks; ++r) {
          const HeadRange h = head_range(heads, kv, ranks, r);
          CHECK(h.first_q == next);
          next += h.q;
          CHECK(h.q <= (heads + ranks - 1) / ranks);
          if (h.q == 0) {
            CHECK(h.kv == 0);
            continue;
          }
          CHECK(h.first_kv == h.first_q / group);
          CHECK(h.first_kv + h.kv - 1 == (h.first_q + h.q - 1) / group);
        }
        CHECK(next == heads);
      }
    }
  }
}

}  // namespace
}  // namespace longsight::parallel
