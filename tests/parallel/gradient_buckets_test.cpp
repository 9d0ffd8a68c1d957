#include <doctest/doctest.h>

#include "parallel/gradient_sync.h"

using namespace longsight;
using namespace longsight::parallel;

TEST_CASE("neighbours become one interval, empty ones vanish, short ones share a bucket up to its size") {
  const std::vector<Interval> intervals{{0, 4}, {4, 4}, {10, 0}, {12, 3}, {20, 100}, {130, 5}, {140, 2}};
  const auto buckets = gradient_buckets(intervals, 50, 12);
  REQUIRE(buckets.size() == 3);
  CHECK(buckets[0].intervals == std::vector<Interval>{{20, 100}});
  CHECK(buckets[0].count == 100);
  CHECK(buckets[1].intervals == std::vector<Interval>{{0, 8}, {12, 3}});
  CHECK(buckets[1].count == 11);
  CHECK(buckets[2].intervals == std::vector<Interval>{{130, 5}, {140, 2}});
  CHECK(buckets[2].count == 7);
  CHECK(gradient_buckets({}).empty());
}

TEST_CASE("intervals that overlap or go backwards are refused") {
  CHECK_THROWS_AS(gradient_buckets(std::vector<Interval>{{0, 4}, {3, 4}}), Error);
  CHECK_THROWS_AS(gradient_buckets(std::vector<Interval>{{8, 4}, {0, 4}}), Error);
  CHECK_THROWS_AS(gradient_buckets(std::vector<Interval>{{0, -1}}), Error);
}
