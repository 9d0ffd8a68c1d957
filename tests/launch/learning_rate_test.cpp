// Learning rates of every step against tables.
#include "launch/learning_rate.h"

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

OptimizerSection section(double lr, double min_lr, const char* schedule, i64 warmup) {
  OptimizerSection o;
  o.lr = lr;
  o.min_lr = min_lr;
  o.schedule = schedule;
  o.warmup = warmup;
  return o;
}

std::vector<double> rates(const OptimizerSection& o, i64 steps) {
  std::vector<double> all;
  for (i64 step = 1; step <= steps; ++step) all.push_back(learning_rate(o, step, steps));
  return all;
}

void check_table(const OptimizerSection& o, const std::vector<double>& table) {
  const std::vector<double> got = rates(o, static_cast<i64>(table.size()));
  for (std::size_t i = 0; i < table.size(); ++i) {
    CAPTURE(i + 1);
    CHECK(got[i] == doctest::Approx(table[i]).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("the learning rate of every step is that of a table") {
  check_table(section(8, 0, "linear", 0), {8, 6, 4, 2});
  check_table(section(8, 4, "linear", 2), {4, 8, 8, 7, 6, 5});
  check_table(section(3, 1, "constant", 3), {1, 2, 3, 3, 3});
  const double root = std::sqrt(0.5);
  check_table(section(2, 0, "cosine", 1), {2, 2, 1 + root, 1, 1 - root});
  // The rates of transformers' get_cosine_schedule_with_warmup without warm-up, 10 steps at 1.0.
  check_table(section(1, 0, "cosine", 0),
              {1.0, 0.9755282581475768, 0.9045084971874737, 0.7938926261462366, 0.6545084971874737, 0.5,
               0.34549150281252633, 0.20610737385376343, 0.09549150281252633, 0.024471741852423234});
}

TEST_CASE("no step is trained at a rate of 0, and min_lr is reached after the last one") {
  for (const char* schedule : {"cosine", "linear", "constant"}) {
    for (const i64 steps : {1, 2, 3, 17, 1000}) {
      for (const i64 warmup : {i64{0}, i64{1}, steps / 2, steps}) {
        const OptimizerSection o = section(1e-3, 0, schedule, warmup);
        CAPTURE(schedule);
        CAPTURE(steps);
        CAPTURE(warmup);
        for (const double rate : rates(o, steps)) {
          CHECK(rate > 0);
          CHECK(rate <= o.lr);
        }
        if (schedule != std::string("constant") && warmup < steps)
          CHECK(learning_rate(o, steps + 1, steps) == doctest::Approx(0).epsilon(1e-15));
      }
    }
  }
}

TEST_CASE("a warm-up that does not end within the run is refused with both numbers") {
  const LoadedConfig loaded = load_config("", {"train.optimizer.warmup=5"});
  CHECK(failure_of([&] { check_warmup(loaded, 4); }) ==
        Failure{
            ExitCode::usage,
            "train.optimizer.warmup: 5 steps of warm-up do not end within the 4 steps of the run; lower it, "
            "or train longer (command line: train.optimizer.warmup=5)"});
  CHECK(failure_of([&] { check_warmup(loaded, 5); }) == Failure{});
  CHECK(failure_of([&] { check_warmup(loaded, 0); }) == Failure{});  // nothing is trained
}
