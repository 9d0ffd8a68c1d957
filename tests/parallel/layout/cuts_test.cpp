#include "parallel/layout/cuts.h"

#include <algorithm>
#include <random>

#include <doctest/doctest.h>

#include "parallel/attention/head_split.h"
#include "parallel/attention/hybrid_degree.h"
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

// The rows of a rank, one by one.
std::vector<i64> rows_held(const Cuts& cuts, i64 rank) {
  std::vector<i64> rows;
  for (const RowRange& range : cuts.ranges(rank)) {
    for (i64 row = range.begin; row < range.end; ++row) rows.push_back(row);
  }
  return rows;
}

TEST_CASE("a zigzag deals every row once, equal shares, an early piece with a late one") {
  for (i64 rows : {0, 1, 2, 7, 64, 1001}) {
    for (i64 ranks : {1, 2, 3, 4, 8}) {
      const Cuts cuts = zigzag_cuts(rows, ranks);
      CHECK(cuts.ranks() == ranks);
      CHECK(cuts.total() == rows);
      for (i64 r = 0; r < ranks; ++r) {
        CHECK(cuts.rows(r) >= rows / ranks);
        CHECK(cuts.rows(r) <= rows / ranks + 1);
        CHECK(cuts.piece(r).rows() - cuts.piece(2 * ranks - 1 - r).rows() <= 1);
        const std::vector<i64> held = rows_held(cuts, r);
        CHECK(static_cast<i64>(held.size()) == cuts.rows(r));
        for (std::size_t i = 0; i < held.size(); ++i) {
          const Cuts::Place place = cuts.place(held[i]);
          CHECK(place.rank == r);
          CHECK(place.row == static_cast<i64>(i));
          const auto last = i + static_cast<std::size_t>(place.following) - 1;
          CHECK(held[last] == held[i] + place.following - 1);
        }
      }
    }
  }
  const Cuts cuts{{0, 3, 3, 5, 9}, true};
  CHECK(rows_held(cuts, 0) == std::vector<i64>{0, 1, 2, 5, 6, 7, 8});
  CHECK(rows_held(cuts, 1) == std::vector<i64>{3, 4});
  CHECK(zigzag_cuts(8, 2).ranges(1).size() == 1);  // the last rank's pieces are neighbours
  CHECK_THROWS_WITH(cuts.begin(0), doctest::Contains("has no one range"));
}

TEST_CASE("a group of ranks holds what its ranks hold, in the order of the stream") {
  for (bool zigzag : {false, true}) {
    const Cuts cuts = zigzag ? zigzag_cuts(101, 12) : even_cuts(101, 12);
    for (i64 size : {1, 2, 3, 4, 6, 12}) {
      const Cuts groups = cuts_of_groups(cuts, size);
      CHECK(groups.ranks() == 12 / size);
      for (i64 group = 0; group < groups.ranks(); ++group) {
        std::vector<i64> rows;
        for (i64 r = group * size; r < (group + 1) * size; ++r) {
          const std::vector<i64> held = rows_held(cuts, r);
          rows.insert(rows.end(), held.begin(), held.end());
        }
        std::sort(rows.begin(), rows.end());
        CHECK(rows_held(groups, group) == rows);
      }
    }
  }
}

TEST_CASE("hybrid attention shares heads among as many neighbours of a node as are all busy") {
  CHECK(hybrid_degree(8, 32, 0) == 4);    // all would be Ulysses
  CHECK(hybrid_degree(64, 32, 0) == 32);  // more ranks than heads
  CHECK(hybrid_degree(64, 32, 8) == 8);   // what crosses nodes is the ring alone
  CHECK(hybrid_degree(64, 28, 8) == 4);   // 28 heads on 8 ranks: 4 on the fullest, half a head too many
  CHECK(hybrid_degree(12, 6, 0) == 6);
  CHECK(hybrid_degree(8, 6, 0) == 2);  // 2 and 1 heads on 4 ranks: slower than 3 on each of 2
  CHECK(hybrid_degree(12, 64, 4) == 4);
  CHECK(hybrid_degree(6, 64, 4) == 2);  // a group of 3 would lie on two nodes
  CHECK(hybrid_degree(7, 64, 0) == 7);  // nothing between: Ulysses,
  CHECK(hybrid_degree(7, 2, 0) == 1);   // or a ring
  CHECK(hybrid_degree(1, 8, 0) == 1);
  CHECK(is_hybrid(64, 8, 8, 64));
  CHECK_FALSE(is_hybrid(1024, 8, 8, 64));  // 128 groups
  CHECK_FALSE(is_hybrid(2, 8, 0, 64));
  CHECK_FALSE(is_hybrid(7, 2, 0, 64));
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

TEST_CASE("vision cuts are those at a list of all merge blocks") {
  std::mt19937 random(3);
  for (int trial = 0; trial < 300; ++trial) {
    Geometry g;
    g.class_rows = std::uniform_int_distribution<i64>(0, 2)(random);
    g.merge = std::uniform_int_distribution<i64>(2, 5)(random);
    std::vector<i64> boundaries;
    for (i64 images = std::uniform_int_distribution<i64>(0, 6)(random); images > 0; --images) {
      const i64 first = g.images.rows(), blocks = std::uniform_int_distribution<i64>(1, 9)(random);
      g.images.append(g.class_rows + blocks * g.merge);
      if (g.class_rows > 0) boundaries.push_back(first);
      for (i64 b = 0; b < blocks; ++b) boundaries.push_back(first + g.class_rows + b * g.merge);
    }
    boundaries.push_back(g.images.rows());
    for (i64 ranks : {1, 2, 3, 7, 40})
      CHECK(vision_cuts(g, ranks, false).at == cuts_at(boundaries, ranks).at);
  }
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
