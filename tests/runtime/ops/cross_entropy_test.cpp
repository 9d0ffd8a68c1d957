#include "runtime/ops/cross_entropy.h"

#include "runtime/tensor/host_values.h"
#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

struct LossProblem {
  explicit LossProblem(DType dtype, i64 rows = 11, i64 width = 7, i64 ids = 23, double magnitude = 1)
      : x(random_tensor(dtype, {rows, width}, "x", magnitude)),
        weight(random_tensor(dtype, {ids, width}, "weight")),
        dx(dtype, {rows, width}),
        d_weight(dtype, {ids, width}) {
    for (i64 r = 0; r < rows; ++r) targets.push_back((r * 7 + 3) % ids);
  }
  ProjectedLoss loss(i64 chunk = 4) const {
    return {x, weight, IndexList(targets, weight->rows(), "targets"), scale, chunk};
  }
  double value(i64 chunk = 4) {
    fill_zero(sum, kStream);
    projected_loss(sum, loss(chunk), scratch, kStream);
    return read_scalar(sum, kStream);
  }
  double with_gradient(i64 chunk = 4) {
    fill_zero(sum, kStream);
    projected_loss_with_gradient(sum, dx, d_weight, loss(chunk), scratch, kStream);
    return read_scalar(sum, kStream);
  }
  double scale = 0.37;
  OwnedTensor x, weight, dx, d_weight, sum{DType::F64, {1}};
  std::vector<i64> targets;
  Arena scratch{"test"};
};

double expected_loss(const LossProblem& p) {
  const auto x = values_of(p.x), w = values_of(p.weight);
  const std::size_t width = static_cast<std::size_t>(p.x->row_size()), ids = w.size() / width;
  double total = 0;
  for (std::size_t r = 0; r < p.targets.size(); ++r) {
    std::vector<double> logits(ids);
    double top = -1e300, sum = 0;
    for (std::size_t v = 0; v < ids; ++v) {
      for (std::size_t c = 0; c < width; ++c) logits[v] += x[r * width + c] * w[v * width + c];
      top = std::max(top, logits[v]);
    }
    for (const double l : logits) sum += std::exp(l - top);
    total += std::log(sum) + top - logits[static_cast<std::size_t>(p.targets[r])];
  }
  return total;
}

}  // namespace

TEST_CASE("the loss is the sum of -log softmax at the targets, whatever the chunks") {
  LossProblem p(DType::F64);
  const double expected = expected_loss(p);
  for (const i64 chunk : {1, 4, 11, 512}) {
    CHECK(p.value(chunk) == doctest::Approx(expected).epsilon(1e-14));
    CHECK(p.with_gradient(chunk) == doctest::Approx(expected).epsilon(1e-14));
  }
  CHECK(p.scratch.used() == 0);
}

TEST_CASE("the gradients of the loss agree with differences, times the scale") {
  LossProblem p(DType::F64);
  fill_random(p.dx, "old contents");
  p.with_gradient();
  const auto loss = [&] { return p.scale * p.value(); };
  check_gradient("x", p.x.view(), p.dx.view(), loss);
  check_gradient("weight", p.weight.view(), p.d_weight.view(), loss);
}

TEST_CASE("dx is overwritten, d_weight is added to or left out") {
  LossProblem p(DType::F64), without(DType::F64);
  p.with_gradient();
  const auto dx = values_of(p.dx);
  auto dw = values_of(p.d_weight);
  p.with_gradient();
  CHECK(values_of(p.dx) == dx);
  for (double& v : dw) v *= 2;
  CHECK(relative_error(values_of(p.d_weight), dw) < 1e-15);
  projected_loss_with_gradient(without.sum, without.dx, {}, without.loss(), without.scratch, kStream);
  CHECK(values_of(without.dx) == dx);
}

TEST_CASE("large logits neither overflow nor lose the loss") {
  LossProblem small(DType::F32, 11, 7, 23, 300), exact(DType::F64, 11, 7, 23, 300);  // logits of about 800
  const double expected = expected_loss(exact);
  CHECK(expected > 1000);
  CHECK(small.with_gradient() == doctest::Approx(expected).epsilon(1e-6));
  CHECK(exact.with_gradient() == doctest::Approx(expected).epsilon(1e-13));
  // A logit of 2000 is rounded by 1e-4, and a probability with it.
  CHECK(relative_error(values_of(small.dx), values_of(exact.dx)) < 1e-3);
}

TEST_CASE("the loss in f32 agrees with f64 over a large vocabulary") {
  LossProblem small(DType::F32, 9, 64, 5003, 0.3), exact(DType::F64, 9, 64, 5003, 0.3);
  CHECK(small.with_gradient() == doctest::Approx(exact.with_gradient()).epsilon(1e-6));
  // A logit of size 10 is a sum of 64 products: about sqrt(64) roundings of 6e-7, and the probabilities move
  // by as much.
  CHECK(relative_error(values_of(small.dx), values_of(exact.dx)) < 5e-6);
  CHECK(relative_error(values_of(small.d_weight), values_of(exact.d_weight)) < 5e-6);
}

TEST_CASE("the loss and its gradients have the same bits for every thread count") {
  check_same_bits_for_every_thread_count([] {
    LossProblem p(DType::F32, 150, 70, 900);
    std::vector<double> all = {p.with_gradient(64)};
    for (const auto& part : {values_of(p.dx), values_of(p.d_weight)})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  });
}

TEST_CASE("the loss is added to what is there") {
  LossProblem p(DType::F64);
  const double once = p.value();
  projected_loss(p.sum, p.loss(), p.scratch, kStream);
  CHECK(read_scalar(p.sum, kStream) == doctest::Approx(2 * once).epsilon(1e-15));
}

TEST_CASE("no supervised rows: no loss, no gradient") {
  LossProblem p(DType::F32, 0);
  CHECK(p.value() == 0);
  CHECK(p.with_gradient() == 0);
  CHECK(values_of(p.d_weight) == std::vector<double>(23 * 7, 0.0));
}

TEST_CASE("a NaN in a hidden state comes through") {
  LossProblem p(DType::F32);
  p.x->host<float>()[8] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(p.with_gradient()));
}

TEST_CASE("a target that is no id is refused, before anything is written") {
  for (const i64 wrong : {i64{23}, i64{-100}}) {
    LossProblem p(DType::F32);
    p.targets[6] = wrong;
    const Failure failure = failure_of([&] { p.with_gradient(); });
    CHECK(failure.code == ExitCode::internal);
    CHECK(contains(failure.message, std::to_string(wrong)));
    CHECK(values_of(p.dx) == std::vector<double>(77, 0.0));
  }
  LossProblem p(DType::F32), other(DType::F32, 10), wide(DType::F64);
  CHECK(failure_of([&] {
          projected_loss_with_gradient(p.sum, other.dx, {}, p.loss(), p.scratch, kStream);
        }).code == ExitCode::internal);
  CHECK(failure_of([&] {
          projected_loss_with_gradient(p.sum, p.dx, wide.d_weight, p.loss(), p.scratch, kStream);
        }).code == ExitCode::internal);
}
