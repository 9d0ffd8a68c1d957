#include "runtime/ops/rope.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

struct Angles {
  Angles(DType dtype, i64 rows, i64 half) : cos(dtype, {rows, half}), sin(dtype, {rows, half}) {
    const Philox random(3, "angles");
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      for (i64 i = 0; i < rows * half; ++i) {
        const double angle = 6 * random.uniform(static_cast<u64>(i));
        cos->host<T>()[i] = static_cast<T>(std::cos(angle));
        sin->host<T>()[i] = static_cast<T>(std::sin(angle));
      }
    });
  }
  OwnedTensor cos, sin;
};

}  // namespace

TEST_CASE("channel i turns with channel i + D/2 by the row's angle") {
  GuardedMatrix x(DType::F64, 3, 2 * 6), before(DType::F64, 3, 2 * 6);
  x.randomise("x");
  before.randomise("x");
  const Angles angles(DType::F64, 3, 3);
  rope(Heads(x, 2, 6), angles.cos, angles.sin, Turn::forward, kStream);
  const double c = angles.cos->host<double>()[2 * 3 + 1], s = angles.sin->host<double>()[2 * 3 + 1];
  const double a = before.at(2, 6 + 1), b = before.at(2, 6 + 4);  // head 1, channels 1 and 1 + 3
  CHECK(x.at(2, 6 + 1) == doctest::Approx(a * c - b * s).epsilon(1e-14));
  CHECK(x.at(2, 6 + 4) == doctest::Approx(b * c + a * s).epsilon(1e-14));
  CHECK(x.guards_intact());
}

TEST_CASE("the inverse turn is the backward of the turn, and undoes it") {
  GuardedMatrix x(DType::F64, 5, 3 * 10), dx(DType::F64, 5, 3 * 10, 1), upstream(DType::F64, 5, 3 * 10);
  x.randomise("x");
  dx.randomise("upstream");
  upstream.randomise("upstream");
  const Angles angles(DType::F64, 5, 5);
  rope(Heads(dx, 3, 10), angles.cos, angles.sin, Turn::inverse, kStream);
  check_gradient("x", x, dx, [&] {
    GuardedMatrix y(DType::F64, 5, 3 * 10);
    for (i64 r = 0; r < 5; ++r) {
      std::copy_n(x.view().host<double>() + r * x.view().stride, 30,
                  y.view().host<double>() + r * y.view().stride);
    }
    rope(Heads(y, 3, 10), angles.cos, angles.sin, Turn::forward, kStream);
    return scalar_product(y, upstream);
  });
  rope(Heads(dx, 3, 10), angles.cos, angles.sin, Turn::forward, kStream);
  CHECK(relative_error(dx.values(), upstream.values()) < 1e-15 * 4);
}

TEST_CASE("rope turns only its columns, in f32 as in f64, with the same bits for every thread count") {
  const auto turned = [](DType dtype) {
    GuardedMatrix qkv(dtype, 211, 4 * 64 + 50);
    qkv.randomise("qkv");
    const Angles angles(dtype, 211, 32);
    rope(Heads(qkv.view().columns(20, 4 * 64), 4, 64), angles.cos, angles.sin, Turn::forward, kStream);
    CHECK(qkv.guards_intact());
    return qkv.values();
  };
  check_same_bits_for_every_thread_count([&] { return turned(DType::F32); });
  CHECK(relative_error(turned(DType::F32), turned(DType::F64)) <
        2e-7);  // two products, a sum, and rounded angles
  GuardedMatrix untouched(DType::F32, 211, 4 * 64 + 50);
  untouched.randomise("qkv");
  const auto after = turned(DType::F32), before = untouched.values();
  for (std::size_t c : {0U, 19U, 276U, 305U}) CHECK(after[306 * 7 + c] == before[306 * 7 + c]);
}

TEST_CASE("rope takes no rows and no heads, and refuses angles that do not fit") {
  const Angles none(DType::F32, 0, 4), angles(DType::F32, 2, 4), wide(DType::F64, 2, 4);
  const GuardedMatrix empty(DType::F32, 0, 8), x(DType::F32, 2, 8);
  rope(Heads(empty, 1, 8), none.cos, none.sin, Turn::forward, kStream);
  rope(Heads(x.view().columns(3, 0), 0, 8), angles.cos, angles.sin, Turn::forward, kStream);
  CHECK(x.guards_intact());
  CHECK(failure_of([&] { rope(Heads(x, 2, 4), angles.cos, angles.sin, Turn::forward, kStream); }).code ==
        ExitCode::internal);
  CHECK(failure_of([&] { rope(Heads(x, 1, 8), wide.cos, wide.sin, Turn::forward, kStream); }).code ==
        ExitCode::internal);
  CHECK(failure_of([&] {
          rope(Heads(x.view().columns(0, 7), 1, 7), angles.cos, angles.sin, Turn::forward, kStream);
        }).code == ExitCode::internal);
}
