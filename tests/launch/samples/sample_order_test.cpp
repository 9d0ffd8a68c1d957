// The order of samples and its cut into steps, against an independent account.
#include "launch/samples/sample_order.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

struct Mixture {
  std::vector<OrderedSet> sets;
  std::vector<std::vector<i64>> tokens;  // 0: left out
  SampleLengths lengths{std::vector<i64>{}};
  i64 step = 0;
  i64 kept = 0;

  StepOrder order(u64 seed) const {
    return {sets, lengths, seed, step, [](std::size_t, i64) { FAIL("all lengths are known"); }};
  }
};

Mixture random_mixture(u64 number, bool weighted) {
  const Philox random(number, "mixture");
  u64 draws = 0;
  const auto below = [&](u64 bound) { return static_cast<i64>(random.below(bound, draws++)); };
  Mixture m;
  m.step = 20 + below(200);
  std::vector<i64> samples;
  for (i64 s = 0, sets = 1 + below(4); s < sets; ++s) {
    std::optional<double> weight;
    if (weighted && (s == 0 || below(3) > 0)) weight = 0.25 + static_cast<double>(below(12)) / 4;
    m.sets.push_back({fmt::format("set {}", s), weight});
    auto& tokens = m.tokens.emplace_back();
    for (i64 i = 0, n = 1 + below(60); i < n; ++i)
      tokens.push_back(below(6) == 0 && i > 0 ? 0 : 1 + below(20));
    samples.push_back(static_cast<i64>(tokens.size()));
  }
  m.lengths = SampleLengths(samples);
  for (std::size_t s = 0; s < m.tokens.size(); ++s) {
    for (std::size_t i = 0; i < m.tokens[s].size(); ++i) {
      m.lengths.put(s, static_cast<i64>(i), m.tokens[s][i]);
      m.kept += m.tokens[s][i] > 0;
    }
  }
  return m;
}

std::vector<std::vector<Draw>> steps_of(StepOrder& order) {
  std::vector<std::vector<Draw>> steps;
  for (auto step = order.next(); !step.empty(); step = order.next()) steps.push_back(step);
  return steps;
}

i64 tokens_of(const Mixture& m, const Draw& d) {
  return m.tokens[d.set][static_cast<std::size_t>(d.index)];
}

}  // namespace

TEST_CASE(
    "every sample comes once in every epoch of thirty random concatenations, in as many steps as were "
    "counted") {
  for (u64 number = 0; number < 30; ++number) {
    CAPTURE(number);
    const Mixture m = random_mixture(number, false);
    const i64 epochs = 1 + static_cast<i64>(number % 4);
    StepOrder order = m.order(number);
    order.end_after(samples_of_epochs(static_cast<double>(epochs), m.kept));
    const RunLength counted = measure_run(order, std::nullopt);
    const auto steps = steps_of(order);
    CHECK(counted.steps == static_cast<i64>(steps.size()));
    CHECK(counted.samples == epochs * m.kept);

    std::vector<std::map<std::pair<std::size_t, i64>, i64>> seen(static_cast<std::size_t>(epochs));
    i64 drawn = 0;
    for (std::size_t s = 0; s < steps.size(); ++s) {
      i64 tokens = 0;
      std::set<i64> passes;
      for (const Draw& d : steps[s]) {
        tokens += tokens_of(m, d);
        CHECK(d.pass == drawn++ / m.kept);
        passes.insert(d.pass);
        seen[static_cast<std::size_t>(d.pass)][{d.set, d.index}] += 1;
      }
      CHECK(tokens <= m.step);
      CHECK(passes.size() == 1);
      // Full: the next sample would not have fitted, or is of the next epoch.
      if (s + 1 < steps.size() && steps[s + 1].front().pass == steps[s].front().pass)
        CHECK(tokens + tokens_of(m, steps[s + 1].front()) > m.step);
    }
    for (const auto& epoch : seen) {
      CHECK(static_cast<i64>(epoch.size()) == m.kept);
      for (const auto& [sample, times] : epoch) {
        CHECK(times == 1);
        CHECK(m.tokens[sample.first][static_cast<std::size_t>(sample.second)] > 0);
      }
    }
    for (std::size_t s = 0; s < m.sets.size(); ++s)
      CHECK(counted.samples_of_sets[s] == epochs * m.lengths.kept(s));
  }
}

TEST_CASE(
    "sets with weights are drawn in their proportion, and each sample of a set as often as the others, give "
    "or take one") {
  for (u64 number = 0; number < 30; ++number) {
    CAPTURE(number);
    const Mixture m = random_mixture(number, true);
    StepOrder order = m.order(number);
    const double epochs = 0.5 * static_cast<double>(1 + number % 7);
    order.end_after(samples_of_epochs(epochs, m.kept));
    const RunLength counted = measure_run(order, std::nullopt);
    std::map<std::pair<std::size_t, i64>, i64> times;
    std::vector<i64> drawn(m.sets.size());
    for (const auto& step : steps_of(order)) {
      for (const Draw& d : step) {
        times[{d.set, d.index}] += 1;
        drawn[d.set] += 1;
      }
    }
    CHECK(drawn == counted.samples_of_sets);
    CHECK(std::accumulate(drawn.begin(), drawn.end(), i64{0}) == samples_of_epochs(epochs, m.kept));
    double all = 0;
    for (const OrderedSet& set : m.sets) all += set.weight.value_or(1);
    for (std::size_t s = 0; s < m.sets.size(); ++s) {
      const double share = m.sets[s].weight.value_or(1) / all * static_cast<double>(counted.samples);
      CHECK(std::abs(static_cast<double>(drawn[s]) - share) <= static_cast<double>(m.sets.size()));
      for (i64 i = 0; i < m.lengths.samples(s); ++i) {
        const i64 whole = drawn[s] / m.lengths.kept(s);
        const i64 got = times[{s, i}];
        if (m.lengths.at(s, i) == 0) {
          CHECK(got == 0);
        } else {
          CHECK((got == whole || got == whole + 1));
        }
      }
    }
  }
}

TEST_CASE("a part of an epoch is the beginning of its order") {
  const Mixture m = random_mixture(3, false);
  StepOrder whole = m.order(1), part = m.order(1);
  whole.end_after(m.kept);
  part.end_after(samples_of_epochs(0.4, m.kept));
  std::vector<Draw> all, some;
  for (const auto& step : steps_of(whole)) all.insert(all.end(), step.begin(), step.end());
  for (const auto& step : steps_of(part)) some.insert(some.end(), step.begin(), step.end());
  CHECK(static_cast<i64>(some.size()) == (4 * m.kept + 9) / 10);
  CHECK(std::equal(some.begin(), some.end(), all.begin()));
  CHECK(samples_of_epochs(1.1, 10) == 11);
  CHECK(samples_of_epochs(0.7, 10) == 7);
  CHECK(samples_of_epochs(0.001, 10) == 1);
  CHECK(samples_of_epochs(1e-15, 10) == 1);
  CHECK(failure_of([] { samples_of_epochs(1e30, 10); }).code == ExitCode::usage);
  // What takes minutes to count is refused; a few passes over very many samples are not.
  CHECK(contains(failure_of([] { samples_of_epochs(1e9, 20); }).message, "give train.steps"));
  CHECK(samples_of_epochs(1e7, 10) == 100'000'000);
  CHECK(samples_of_epochs(3, 1'000'000'000) == 3'000'000'000);
  CHECK(samples_of_epochs(2.0 / 3, 9) == 6);
}

TEST_CASE("the samples of steps without an end in sight are estimated") {
  const Mixture m = random_mixture(4, false);
  const RunLength exact = measure_run(m.order(1), 2000), about = measure_run(m.order(1), 2000, 10 * m.kept);
  CHECK(!exact.estimated);
  CHECK(about.estimated);
  CHECK(about.steps == 2000);
  const double ratio = static_cast<double>(about.samples) / static_cast<double>(exact.samples);
  CHECK(std::abs(ratio - 1) < 0.1);
  CHECK(measure_run(m.order(1), std::numeric_limits<i64>::max(), m.kept).steps ==
        std::numeric_limits<i64>::max());
  CHECK(!measure_run(m.order(1), 1, 1).estimated);
}

TEST_CASE("another epoch, another seed: another order; the size of steps does not matter") {
  Mixture m = random_mixture(5, false);
  const auto draws_of = [&](u64 seed) {
    StepOrder order = m.order(seed);
    order.end_after(2 * m.kept);
    std::vector<std::pair<std::size_t, i64>> draws;
    for (const auto& step : steps_of(order)) {
      for (const Draw& d : step) draws.emplace_back(d.set, d.index);
    }
    return draws;
  };
  const auto first = draws_of(1);
  CHECK(draws_of(2) != first);
  CHECK(!std::equal(first.begin(), first.begin() + m.kept, first.begin() + m.kept));
  m.step = 1000;
  CHECK(draws_of(1) == first);
}

TEST_CASE("lengths that are found on the way give the same steps as those that are known") {
  for (u64 number = 0; number < 10; ++number) {
    const Mixture m = random_mixture(number, false);
    StepOrder known = m.order(number);
    std::vector<i64> samples;
    for (const auto& tokens : m.tokens) samples.push_back(static_cast<i64>(tokens.size()));
    SampleLengths found(samples);
    StepOrder unknown(m.sets, found, number, m.step, [&](std::size_t s, i64 i) {
      found.put(s, i, m.tokens[s][static_cast<std::size_t>(i)]);
    });
    for (int step = 0; step < 200; ++step) CHECK(unknown.next() == known.next());
  }
}

TEST_CASE("a set of which everything is left out ends the search with an error") {
  SampleLengths lengths({2, 1});
  lengths.put(0, 0, 0);
  lengths.put(0, 1, 0);
  lengths.put(1, 0, 5);
  StepOrder order({{"a", 1.0}, {"b", 0.1}}, lengths, 1, 10, nullptr);
  CHECK(failure_of([&] { order.next(); }) ==
        Failure{ExitCode::bad_data,
                "a: all of its 2 samples are left out (data.overlong: drop, data.bad: skip)"});
}
