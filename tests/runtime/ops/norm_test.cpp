#include "runtime/ops/norm.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

// One row block is 16 rows or more: 37 rows are three blocks.
struct Rows {
  explicit Rows(DType dtype, i64 rows = 37, i64 width = 13)
      : x(random_tensor(dtype, {rows, width}, "x", 1, 0.5)),
        dy(random_tensor(dtype, {rows, width}, "dy")),
        gain(random_tensor(dtype, {width}, "gain", 0.3, 1)),
        bias(random_tensor(dtype, {width}, "bias")),
        y(dtype, {rows, width}),
        mean(dtype, {rows}),
        rstd(dtype, {rows}),
        dx(dtype, {rows, width}),
        d_gain(dtype, {width}),
        d_bias(dtype, {width}) {}
  void rms() { rms_norm(y, rstd, x, gain, 1e-3, kStream); }
  void rms_back() { rms_norm_backward(dx, d_gain, dy, x, rstd, gain, kStream); }
  void layer() { layer_norm(y, mean, rstd, x, gain, bias, 1e-3, kStream); }
  void layer_back() { layer_norm_backward(dx, d_gain, d_bias, dy, x, mean, rstd, gain, kStream); }
  std::vector<double> all() const {
    std::vector<double> values;
    for (const OwnedTensor* t : {&y, &mean, &rstd, &dx, &d_gain, &d_bias}) {
      const auto part = values_of(*t);
      values.insert(values.end(), part.begin(), part.end());
    }
    return values;
  }
  OwnedTensor x, dy, gain, bias, y, mean, rstd, dx, d_gain, d_bias;
};

std::vector<double> sum(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

}  // namespace

TEST_CASE("norms have the values of their formulas") {
  Rows r(DType::F64);
  r.rms();
  const double* x = r.x->host<double>() + 5 * 13;
  double squares = 0, mean = 0, variance = 0;
  for (int c = 0; c < 13; ++c) {
    squares += x[c] * x[c] / 13;
    mean += x[c] / 13;
  }
  for (int c = 0; c < 13; ++c) variance += (x[c] - mean) * (x[c] - mean) / 13;
  const double gain = r.gain->host<double>()[4], bias = r.bias->host<double>()[4];
  CHECK(r.y->host<double>()[5 * 13 + 4] ==
        doctest::Approx(x[4] / std::sqrt(squares + 1e-3) * gain).epsilon(1e-14));
  r.layer();
  CHECK(r.y->host<double>()[5 * 13 + 4] ==
        doctest::Approx((x[4] - mean) / std::sqrt(variance + 1e-3) * gain + bias).epsilon(1e-14));
}

TEST_CASE("the gradients of RMS norm agree with differences") {
  Rows r(DType::F64);
  r.rms();
  r.rms_back();
  const auto loss = [&] {
    r.rms();
    return scalar_product(r.y.view(), r.dy.view());
  };
  check_gradient("x", r.x.view(), r.dx.view(), loss);
  check_gradient("gain", r.gain.view(), r.d_gain.view(), loss);
}

TEST_CASE("the gradients of layer norm agree with differences") {
  Rows r(DType::F64);
  r.layer();
  r.layer_back();
  const auto loss = [&] {
    r.layer();
    return scalar_product(r.y.view(), r.dy.view());
  };
  check_gradient("x", r.x.view(), r.dx.view(), loss);
  check_gradient("gain", r.gain.view(), r.d_gain.view(), loss);
  check_gradient("bias", r.bias.view(), r.d_bias.view(), loss);
}

TEST_CASE("norm gradients are added to what is there, and those of gain and bias may be left out") {
  for (const bool layer : {false, true}) {
    Rows r(DType::F64), twice(DType::F64), frozen(DType::F64);
    for (Rows* rows : {&r, &twice, &frozen}) layer ? rows->layer() : rows->rms();
    layer ? r.layer_back() : r.rms_back();
    for (int i = 0; i < 2; ++i) layer ? twice.layer_back() : twice.rms_back();
    CHECK(relative_error(values_of(twice.dx), sum(values_of(r.dx), values_of(r.dx))) < 1e-14);
    CHECK(relative_error(values_of(twice.d_gain), sum(values_of(r.d_gain), values_of(r.d_gain))) < 1e-14);
    if (layer) {
      CHECK(relative_error(values_of(twice.d_bias), sum(values_of(r.d_bias), values_of(r.d_bias))) < 1e-14);
      layer_norm_backward(frozen.dx, {}, {}, r.dy, r.x, r.mean, r.rstd, r.gain, kStream);
    } else {
      rms_norm_backward(frozen.dx, {}, r.dy, r.x, r.rstd, r.gain, kStream);
    }
    CHECK(values_of(frozen.dx) == values_of(r.dx));
  }
}

TEST_CASE("a norm may overwrite its input, and its output comes back from what was saved") {
  Rows r(DType::F32), in_place(DType::F32);
  OwnedTensor again(DType::F32, {37, 13});
  r.rms();
  rms_norm(in_place.x, in_place.rstd, in_place.x, in_place.gain, 1e-3, kStream);
  CHECK(values_of(in_place.x) == values_of(r.y));
  rms_norm_again(again, r.x, r.rstd, r.gain, kStream);
  CHECK(values_of(again) == values_of(r.y));

  Rows l(DType::F32), l_in_place(DType::F32);
  l.layer();
  layer_norm(l_in_place.x, l_in_place.mean, l_in_place.rstd, l_in_place.x, l_in_place.gain, l_in_place.bias,
             1e-3, kStream);
  CHECK(values_of(l_in_place.x) == values_of(l.y));
  layer_norm_again(again, l.x, l.mean, l.rstd, l.gain, l.bias, kStream);
  CHECK(values_of(again) == values_of(l.y));
}

TEST_CASE("norms in f32 agree with f64, also for rows far from zero") {
  for (const bool layer : {false, true}) {
    Rows small(DType::F32, 70, 384), exact(DType::F64, 70, 384);
    for (Rows* r : {&small, &exact}) {
      layer ? r->layer() : r->rms();
      layer ? r->layer_back() : r->rms_back();
    }
    // Sums of 384 or 70 terms: about sqrt(384) roundings of 6e-8.
    CHECK(relative_error(values_of(small.y), values_of(exact.y)) < 1e-6);
    CHECK(relative_error(values_of(small.dx), values_of(exact.dx)) < 1e-6);
    CHECK(relative_error(values_of(small.d_gain), values_of(exact.d_gain)) < 2e-6);
  }
  // mean(x^2) - mean(x)^2 would lose all digits of a variance of 1 beside a mean of 1000.
  Rows far(DType::F32, 20, 384), exact(DType::F64, 20, 384);
  for (Rows* r : {&far, &exact}) {
    fill_random(r->x, "far", 1, 1000);
    r->layer();
  }
  CHECK(relative_error(values_of(far.y), values_of(exact.y)) < 1e-3);
}

TEST_CASE("norms have the same bits for every thread count") {
  check_same_bits_for_every_thread_count([] {
    Rows r(DType::F32, 1203, 70);
    r.rms();
    r.rms_back();
    r.layer();
    r.layer_back();
    return r.all();
  });
}

TEST_CASE("norms take no rows and refuse shapes that do not fit") {
  Rows none(DType::F32, 0);
  none.rms();
  none.rms_back();
  none.layer();
  none.layer_back();
  CHECK(values_of(none.d_gain) == std::vector<double>(13, 0.0));
  CHECK(values_of(none.d_bias) == std::vector<double>(13, 0.0));

  Rows r(DType::F32), other(DType::F32, 36), wide(DType::F64);
  CHECK(failure_of([&] { rms_norm(r.y, other.rstd, r.x, r.gain, 0, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] { rms_norm(r.y, r.rstd, r.x, wide.gain, 0, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] {
          layer_norm_backward(other.dx, {}, {}, r.dy, r.x, r.mean, r.rstd, r.gain, kStream);
        }).code == ExitCode::internal);
}

TEST_CASE("an offset of the gain is the same as a larger gain, in all three directions") {
  Rows plain(DType::F64), offset(DType::F64);
  for (i64 c = 0; c < plain.gain->elements(); ++c)
    plain.gain->host<double>()[c] = offset.gain->host<double>()[c] + 1;
  plain.rms();
  plain.rms_back();
  rms_norm(offset.y, offset.rstd, offset.x, offset.gain, 1e-3, kStream, 1);
  rms_norm_backward(offset.dx, offset.d_gain, offset.dy, offset.x, offset.rstd, offset.gain, kStream, 1);
  CHECK(values_of(offset.y) == values_of(plain.y));
  CHECK(values_of(offset.dx) == values_of(plain.dx));
  CHECK(values_of(offset.d_gain) == values_of(plain.d_gain));
  OwnedTensor again(DType::F64, offset.x->shape());
  rms_norm_again(again, offset.x, offset.rstd, offset.gain, kStream, 1);
  CHECK(values_of(again) == values_of(plain.y));
}
