// Which losses and gradient norms are said to stand out, and that a run which goes on says the same.
#include "launch/training/spikes.h"

#include <cmath>

#include <doctest/doctest.h>

#include "runtime/base/number.h"
#include "runtime/base/philox.h"
#include "tests/support/failure.h"

namespace longsight::launch {
namespace {

// A loss that falls, with noise of a few percent.
double falling(i64 step) {
  const Philox random(1, "loss");
  return 2 + 6 * std::exp(-static_cast<double>(step) / 60) + 0.1 * random.normal(static_cast<u64>(step));
}

TEST_CASE("eleven times the largest of the last steps is a spike, one and a half times is none") {
  for (const i64 before : {16, 40, 128, 500}) {
    for (const auto& [factor, spike] : {std::pair(11.0, true), std::pair(1.5, false)}) {
      CAPTURE(before);
      CAPTURE(factor);
      RecentNumbers numbers;
      double largest = 0;
      for (i64 step = 0; step < before; ++step) {
        CHECK(numbers.add(falling(step)) == "");
        if (step >= before - 128) largest = std::max(largest, falling(step));
      }
      const std::string text = numbers.add(factor * largest);
      CHECK(text.empty() != spike);
      if (spike) CHECK(contains(text, fmt::format("(the last {} steps: ", std::min<i64>(before, 128))));
      CHECK(numbers.add(falling(before)) == "");
    }
  }
}

TEST_CASE("without noise, one and a half times is no spike and eleven times is one") {
  for (const double level : {1e-6, 1.0, 300.0}) {
    RecentNumbers numbers;
    for (int step = 0; step < 200; ++step) CHECK(numbers.add(level) == "");
    CHECK(numbers.add(1.5 * level) == "");
    CHECK(numbers.add(11 * level) != "");
  }
}

TEST_CASE("a number far outside of what the others scatter is a spike below ten times their largest") {
  RecentNumbers numbers;
  for (int step = 0; step < 128; ++step) numbers.add(step % 2 == 0 ? 1.0 : 1.1);
  CHECK(numbers.add(1.9) == "");
  CHECK(numbers.add(4) == "4 (the last 128 steps: 1.057 on average, 1.9 at most)");
}

TEST_CASE("the first steps, and numbers that are not finite, are no spikes and hide none") {
  RecentNumbers numbers;
  for (int step = 0; step < 15; ++step) CHECK(numbers.add(step % 2 == 0 ? 1 : 100) == "");
  RecentNumbers others;
  for (int step = 0; step < 40; ++step) others.add(1);
  CHECK(others.add(std::nan("")) == "");
  CHECK(others.add(INFINITY) == "");
  CHECK(others.add(11) != "");
}

TEST_CASE("a run that goes on from its lines says and counts what it would have undisturbed") {
  const auto loss = [](i64 step) { return falling(step) * (step % 50 == 49 ? 12 : 1); };
  const auto norm = [](i64 step) { return 1 + 0.1 * falling(step) + (step % 70 == 69 ? 40 : 0); };
  std::vector<std::string> expected;
  std::vector<Json> lines;
  SpikeWatch undisturbed;
  for (i64 step = 0; step < 400; ++step) {
    expected.push_back(undisturbed.add(loss(step), norm(step)));
    // As metrics.jsonl holds them: in text.
    lines.push_back(parse_json(json_text(Json{{"step", step + 1},
                                              {"loss", loss(step)},
                                              {"grad_norm", norm(step)},
                                              {"spikes", undisturbed.spikes()}}),
                               "a line"));
  }
  CHECK(undisturbed.spikes() >= 2);
  for (std::size_t k = 0; k < 400; k += 7) {
    CAPTURE(k);
    SpikeWatch watch;
    watch.add(1e9, 1e9);  // of a run that went back: forgotten
    watch.recall({lines.begin() + static_cast<std::ptrdiff_t>(k - std::min(k, SpikeWatch::kSteps)),
                  lines.begin() + static_cast<std::ptrdiff_t>(k)});
    for (std::size_t step = k; step < 400; ++step)
      CHECK(watch.add(loss(static_cast<i64>(step)), norm(static_cast<i64>(step))) == expected[step]);
    CHECK(watch.spikes() == undisturbed.spikes());
  }
}

}  // namespace
}  // namespace longsight::launch
