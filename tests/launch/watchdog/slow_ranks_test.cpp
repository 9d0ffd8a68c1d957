#include <vector>

#include <doctest/doctest.h>

#include "launch/watchdog/slow_rank.h"
#include "runtime/base/philox.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

// Ranks that tell each other their seconds as the steps of a run do. Returns the step in which each became
// slow, 0: never.
template <class Seconds>
std::vector<i64> first_named(i64 ranks, i64 steps, Seconds&& seconds, std::vector<double> flops = {}) {
  if (flops.empty()) flops.assign(static_cast<std::size_t>(ranks), 1.0);
  double all_flops = 0;
  for (const double f : flops) all_flops += f;
  std::vector<SlowRank> each(static_cast<std::size_t>(ranks), SlowRank(ranks));
  std::vector<i64> named(each.size(), 0);
  for (i64 step = 1; step <= steps; ++step) {
    double told = 0;
    for (const SlowRank& rank : each) told += rank.told();
    for (std::size_t r = 0; r < each.size(); ++r) {
      if (each[r].after_step(told, seconds(static_cast<i64>(r), step), flops[r], all_flops) && named[r] == 0)
        named[r] = step;
    }
  }
  return named;
}

}  // namespace

TEST_CASE("a rank that takes 100 ms more a step is named within 20 steps, and no other") {
  const auto from_the_start = first_named(4, 200, [](i64 rank, i64) { return rank == 2 ? 0.13 : 0.03; });
  CHECK(from_the_start[2] > 0);
  CHECK(from_the_start[2] <= 20);
  CHECK(from_the_start == std::vector<i64>{0, 0, from_the_start[2], 0});
  const auto later =
      first_named(2, 200, [](i64 rank, i64 step) { return rank == 0 && step > 100 ? 0.13 : 0.03; });
  CHECK(later[0] > 100);
  CHECK(later[0] <= 120);
  CHECK(later[1] == 0);
}

TEST_CASE("a rank is named once while it is slow, and again when it has become slow again") {
  SlowRank rank(2);
  std::vector<i64> named;
  for (i64 step = 1; step <= 120; ++step) {
    const bool slow = step <= 40 || step > 80;
    const double other = step == 1 ? 0 : 0.03;
    if (rank.after_step(rank.told() + other, slow ? 0.2 : 0.03, 1, 2)) named.push_back(step);
  }
  REQUIRE(named.size() == 2);
  CHECK(named[0] <= 20);
  CHECK(named[1] > 80);
  CHECK(named[1] <= 100);
}

TEST_CASE("single slow steps, random ones and slow starts name nobody") {
  CHECK(first_named(4, 2000, [](i64 rank, i64 step) { return step % 4 == rank ? 1.0 : 0.03; }) ==
        std::vector<i64>(4, 0));
  CHECK(first_named(4, 2000, [](i64 rank, i64 step) { return step < 10 && rank == 1 ? 2.0 : 0.03; }) ==
        std::vector<i64>(4, 0));
  const Philox random(3, "slow ranks");
  const auto noisy = first_named(8, 2000, [&](i64 rank, i64 step) {
    // A third of the steps is ten times as slow as the rest.
    const double u = random.uniform(static_cast<u64>(rank * 100000 + step));
    return u < 0.33 ? 0.5 : 0.05 + 0.01 * u;
  });
  CHECK(noisy == std::vector<i64>(8, 0));
}

TEST_CASE("small differences of long steps, and more work, make no slow rank") {
  CHECK(first_named(2, 100, [](i64 rank, i64) { return rank == 0 ? 12.0 : 10.0; }) == std::vector<i64>(2, 0));
  const auto twice = [](i64 rank, i64) { return rank == 0 ? 2.0 : 1.0; };
  CHECK(first_named(3, 100, twice, {2, 1, 1}) == std::vector<i64>(3, 0));
  CHECK(first_named(3, 100, twice)[0] > 0);
}

TEST_CASE("one rank alone is not slow") {
  CHECK(first_named(1, 100, [](i64, i64 step) { return static_cast<double>(step); }) == std::vector<i64>{0});
}
