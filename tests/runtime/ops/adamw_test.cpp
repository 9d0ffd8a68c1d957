#include "runtime/ops/adamw.h"

#include "runtime/tensor/host_values.h"
#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

double squares_of(Tensor x) {
  const OwnedTensor sum(DType::F64, {1});
  sum_of_squares(sum, x, {});
  return read_scalar(sum, {});
}

struct State {
  explicit State(DType dtype, i64 n)
      : value(random_tensor(dtype, {n}, "value")),
        gradient(random_tensor(dtype, {n}, "gradient")),
        first(dtype, {n}),
        second(dtype, {n}) {}
  void step(const AdamWOptions& options, double scale = 1) {
    const OwnedTensor factor(DType::F64, {1});
    write_scalar(factor, scale, kStream);
    adamw_step(value, gradient, first, second, factor, options, kStream);
  }
  OwnedTensor value, gradient, first, second;
};

}  // namespace

TEST_CASE("three steps of AdamW are those of torch.optim.AdamW") {
  // torch.optim.AdamW([1.0, -2.0, 0.5], lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.2) in float64,
  // with the gradients [1, -0.5, 0], [0.25, 2, 0] and [-1, 0.125, 3]; worked out term by term here.
  const double gradients[3][3] = {{1, -0.5, 0}, {0.25, 2, 0}, {-1, 0.125, 3}};
  State s(DType::F64, 3);
  double p[3] = {1, -2, 0.5}, m[3] = {}, v[3] = {};
  std::copy_n(p, 3, s.value->host<double>());
  for (int t = 1; t <= 3; ++t) {
    // The gradient is stored four times too large: the clip factor brings it back.
    for (int i = 0; i < 3; ++i) s.gradient->host<double>()[i] = 4 * gradients[t - 1][i];
    s.step({.lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.2, .step = t}, 0.25);
    for (int i = 0; i < 3; ++i) {
      const double g = gradients[t - 1][i];
      p[i] *= 1 - 0.1 * 0.2;
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.99 * v[i] + 0.01 * g * g;
      p[i] -=
          0.1 / (1 - std::pow(0.9, t)) * m[i] / (std::sqrt(v[i]) / std::sqrt(1 - std::pow(0.99, t)) + 1e-3);
    }
    CHECK(relative_error(values_of(s.value), {p[0], p[1], p[2]}) < 1e-15);
    CHECK(relative_error(values_of(s.first), {m[0], m[1], m[2]}) < 1e-15);
    CHECK(relative_error(values_of(s.second), {v[0], v[1], v[2]}) < 1e-15);
    CHECK(values_of(s.gradient) == std::vector<double>(3, 0.0));  // ready for the next step
  }
  // Step 1 moves by lr against the sign of the gradient (torch: 0.98 - 0.1 / 1.001 and so on), whatever its
  // size.
  State first(DType::F64, 1);
  first.value->host<double>()[0] = 1;
  first.gradient->host<double>()[0] = 1e-4;
  first.step({.lr = 0.1, .eps = 0, .weight_decay = 0, .step = 1});
  CHECK(first.value->host<double>()[0] == doctest::Approx(0.9).epsilon(1e-14));
}

TEST_CASE("AdamW in f32 agrees with f64 over several steps") {
  State small(DType::F32, 1000), exact(DType::F64, 1000);
  for (i64 t = 1; t <= 5; ++t) {
    for (State* s : {&small, &exact}) {
      fill_random(s->gradient, "gradient" + std::to_string(t), 0.01);
      s->step({.lr = 1e-2, .weight_decay = 0.1, .step = t});
    }
  }
  CHECK(relative_error(values_of(small.value), values_of(exact.value)) <
        5 * 1.2e-7);  // a rounding or two per step
}

TEST_CASE("AdamW and the sum of squares have the same bits for every thread count") {
  check_same_bits_for_every_thread_count([] {
    State s(DType::F32, 70001);
    std::vector<double> all = {squares_of(s.gradient)};
    s.step({.lr = 1e-2, .weight_decay = 0.1, .step = 3});
    for (const auto& part : {values_of(s.value), values_of(s.first), values_of(s.second)}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  });
}

TEST_CASE("the sum of squares is taken in f64") {
  OwnedTensor x(DType::F32, {40000});
  for (i64 i = 0; i < 40000; ++i) x->host<float>()[i] = 0.1F;
  const double square = static_cast<double>(0.1F) * static_cast<double>(0.1F);
  CHECK(squares_of(x) == doctest::Approx(40000 * square).epsilon(1e-13));
  x->host<float>()[123] = 3e38F;  // the square overflows in f32
  CHECK(squares_of(x) == doctest::Approx(9e76).epsilon(1e-6));
  CHECK(squares_of(OwnedTensor(DType::F64, {0})) == 0);
}

TEST_CASE("a NaN and an infinity come through the sum of squares") {
  OwnedTensor x = random_tensor(DType::F32, {9000}, "x");
  x->host<float>()[8999] = std::numeric_limits<float>::infinity();
  CHECK(std::isinf(squares_of(x)));
  x->host<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(squares_of(x)));
}

TEST_CASE("AdamW refuses buffers of another size or type, and step 0") {
  State s(DType::F32, 4);
  const OwnedTensor shorter(DType::F32, {3}), wide(DType::F64, {4});
  const OwnedTensor scale(DType::F64, {1});
  CHECK(failure_of([&] { adamw_step(s.value, shorter, s.first, s.second, scale, {}, kStream); }).code ==
        ExitCode::internal);
  CHECK(failure_of([&] { adamw_step(s.value, s.gradient, wide, s.second, scale, {}, kStream); }).code ==
        ExitCode::internal);
  CHECK(failure_of([&] { adamw_step(s.value, s.gradient, s.first, s.second, {}, {}, kStream); }).code ==
        ExitCode::internal);
  CHECK(failure_of([&] { s.step({.step = 0}); }).code == ExitCode::internal);
}

TEST_CASE("a step whose scale is NaN changes nothing, and gradients begin anew") {
  State s(DType::F32, 100);
  s.step({.lr = 0.1, .step = 1});
  fill_random(s.gradient, "more", 1);
  const auto value = values_of(s.value), first = values_of(s.first), second = values_of(s.second);
  s.step({.lr = 0.1, .weight_decay = 0.1, .step = 2}, std::numeric_limits<double>::quiet_NaN());
  CHECK(values_of(s.value) == value);
  CHECK(values_of(s.first) == first);
  CHECK(values_of(s.second) == second);
  CHECK(values_of(s.gradient) == std::vector<double>(100, 0.0));
}

TEST_CASE("gradients are clipped to the norm, and those of a step that is not finite are not used") {
  const auto scale_of = [](double squares, double loss, double clip) {
    const OwnedTensor numbers(DType::F64, {3});
    write_scalar(numbers->row_range(0, 1), squares, kStream);
    write_scalar(numbers->row_range(1, 1), loss, kStream);
    clip_scale(numbers->row_range(2, 1), numbers->row_range(0, 1), numbers->row_range(1, 1), clip, kStream);
    return read_values<double>(numbers, kStream)[2];
  };
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  CHECK(scale_of(16, 2, 1) == 1 / (4 + 1e-6));
  CHECK(scale_of(0.25, 2, 1) == 1);
  CHECK(scale_of(0, 2, 1) == 1);
  CHECK(std::isnan(scale_of(infinity, 2, 1)));
  CHECK(std::isnan(scale_of(nan, 2, 1)));
  CHECK(std::isnan(scale_of(16, infinity, 1)));
  CHECK(std::isnan(scale_of(16, nan, 1)));
}
