#include "runtime/ops/formulas/elementary.h"

#include <limits>

#include <doctest/doctest.h>

using namespace longsight::ops;
using namespace longsight::ops::formulas;

namespace {

// Every 1,009th float of both signs.
template <class F>
void for_many_floats(F&& f) {
  for (std::uint32_t bits = 0; bits < 0x7F800000U; bits += 1009) {
    f(std::bit_cast<float>(bits));
    f(-std::bit_cast<float>(bits));
  }
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("the exponential of a float is right to 1e-7 where it is a normal number") {
  double worst = 0;
  for_many_floats([&](float x) {
    if (x < -86.6F || x > 88.72F) return;
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::fabs(static_cast<double>(exp_of(x)) - exact) / exact);
  });
  CHECK(worst < 1e-7);
}

TEST_CASE("the exponential is zero far below, infinite far above, and keeps NaN") {
  CHECK(exp_of(-86.7F) == 0.0F);
  CHECK(exp_of(-kInfinity) == 0.0F);
  CHECK(exp_of(88.73F) == kInfinity);
  CHECK(exp_of(kInfinity) == kInfinity);
  CHECK(std::isnan(exp_of(std::numeric_limits<float>::quiet_NaN())));
  CHECK(exp_of(0.0F) == 1.0F);
}

TEST_CASE("the error function of a float is right to 1e-7") {
  double worst = 0;
  for_many_floats([&](float x) {
    if (std::fabs(x) < 1e-37F) return;  // subnormal results have fewer digits
    const double exact = std::erf(static_cast<double>(x));
    worst = std::max(worst, std::fabs(static_cast<double>(erf_of(x)) - exact) / std::fabs(exact));
  });
  CHECK(worst < 1e-7);
  CHECK(erf_of(kInfinity) == 1.0F);
  CHECK(erf_of(-kInfinity) == -1.0F);
  CHECK(std::isnan(erf_of(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("the sigmoid runs from 0 to 1 without overflow") {
  CHECK(sigmoid_of(0.0F) == 0.5F);
  CHECK(sigmoid_of(200.0F) == 1.0F);
  CHECK(sigmoid_of(-200.0F) == 0.0F);
  CHECK(sigmoid_of(-2.0) == doctest::Approx(0.11920292202211755).epsilon(1e-15));
}
