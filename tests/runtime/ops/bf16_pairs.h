// The same numbers in bf16 and in f32, for tests that compare an op in the one with the op in the other.
#pragma once

#include "tests/support/gradient_check.h"

namespace longsight {

// of[0] in bf16, of[1] the same values in f32.
struct Both {
  explicit Both(Shape shape) : of{OwnedTensor(DType::BF16, shape), OwnedTensor(DType::F32, shape)} {}
  Both(Shape shape, std::string_view name, double magnitude = 1, double mean = 0) : Both(shape) {
    fill_random(of[0], name, magnitude, mean);
    copy(of[1], of[0], kStream);
  }
  OwnedTensor of[2];
};

// What is f32 for activations of either type: statistics, gradients of parameters.
struct Sums {
  explicit Sums(Shape shape) : of{OwnedTensor(DType::F32, shape), OwnedTensor(DType::F32, shape)} {}
  OwnedTensor of[2];
};

// The half of a unit in the last of the eight bits that bf16 keeps.
constexpr double kHalfUnit = 1.0 / 256;

// That x is y rounded once, where y itself may be off by `slack`.
inline void check_rounded(const std::vector<double>& x, const std::vector<double>& y, double slack) {
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double excess = std::abs(x[i] - y[i]) - kHalfUnit * (std::abs(y[i]) + slack);
    worst = std::max(worst, std::isfinite(excess) ? excess : INFINITY);
  }
  CHECK(worst <= slack);
}
inline void check_rounded(const Both& x, double slack) {
  check_rounded(values_of(x.of[0]), values_of(x.of[1]), slack);
}

// Sums of the same terms, perhaps in another order.
inline void check_alike(const Sums& x, double tolerance = 2e-6) {
  CHECK(relative_error(values_of(x.of[0]), values_of(x.of[1])) < tolerance);
}

}  // namespace longsight
