#include "launch/training/prediction_errors.h"

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

StepFigures figures(double predicted, double measured) {
  StepFigures f;
  f.seconds = measured;
  f.predicted_seconds = predicted;
  f.predicted_memory_mib = 300;
  return f;
}

}  // namespace

TEST_CASE("errors are predicted / measured - 1; the first step counts only where it is alone") {
  PredictionErrors errors;
  CHECK(errors.empty());
  errors.add(7, figures(1, 10), 200);
  CHECK(errors.json()["median_error"] == -0.9);
  CHECK(errors.json()["steps"] == 1);
  errors.add(8, figures(3, 2), 200);      // + 0.5
  errors.add(9, figures(1, 4), 240);      // - 0.75
  errors.add(10, figures(1, 1), 250);     // 0
  errors.add(11, figures(1.25, 1), 250);  // + 0.25
  const auto json = errors.json();
  CHECK(json["steps"] == 4);
  CHECK(json["median_error"] == 0.125);
  CHECK(json["worst_error"] == -0.75);
  CHECK(json["worst_step"] == 9);
  CHECK(json["predicted_memory_mib"] == 300);
  CHECK(json["measured_memory_mib"] == 250);
  CHECK(json["memory_error"] == doctest::Approx(0.2));
  CHECK(contains(errors.text(), "4 steps: time +12 % in the median, -75 % at worst (step 9)"));
  CHECK(contains(errors.text(), "memory 300 against 250 MiB (+20 %)"));
}
