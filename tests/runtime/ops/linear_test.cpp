#include "runtime/ops/linear.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

// A layer of odd sizes with everything that `linear` can add.
struct Layer {
  explicit Layer(DType dtype, i64 rows = 7, i64 inputs = 13, i64 outputs = 19)
      : x(dtype, rows, inputs, 2),
        y(dtype, rows, outputs, 4),
        residual(dtype, rows, outputs, 1),
        activated(dtype, rows, outputs, 6),
        upstream(dtype, rows, outputs, 5),
        weight(random_tensor(dtype, {outputs, inputs}, "weight", 0.3)),
        bias(random_tensor(dtype, {outputs}, "bias")) {
    x.randomise("x");
    residual.randomise("residual");
    upstream.randomise("upstream");
  }
  void forward(Activation kind = Activation::silu) {
    linear(y, x, weight,
           {.bias = bias, .residual = residual.view(), .activation = kind, .activated = activated.view()},
           kStream);
  }
  bool guards_intact() const {
    return x.guards_intact() && y.guards_intact() && residual.guards_intact() && activated.guards_intact() &&
           upstream.guards_intact();
  }
  GuardedMatrix x, y, residual, activated, upstream;
  OwnedTensor weight, bias;
};

}  // namespace

TEST_CASE("linear adds the products, the bias and the residual, and the activation gets the sum") {
  for (const Activation kind : {Activation::none, Activation::gelu, Activation::silu}) {
    Layer layer(DType::F64);
    layer.forward(kind);
    std::vector<double> expected;
    for (i64 r = 0; r < 7; ++r) {
      for (i64 n = 0; n < 19; ++n) {
        double sum = layer.bias->host<double>()[n] + layer.residual.at(r, n);
        for (i64 k = 0; k < 13; ++k) sum += layer.x.at(r, k) * layer.weight->host<double>()[n * 13 + k];
        expected.push_back(sum);
      }
    }
    CHECK(relative_error(layer.y.values(), expected) < 1e-14);
    // Without an activation `activated` is not touched.
    std::vector<double> through(expected.size());
    if (kind != Activation::none) {
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const double v = expected[i];
        through[i] =
            kind == Activation::silu ? v / (1 + std::exp(-v)) : v * std::erfc(-v / std::sqrt(2.0)) / 2;
      }
    }
    CHECK(relative_error(layer.activated.values(), through) < 1e-14);
    CHECK(layer.guards_intact());
  }
}

TEST_CASE("the residual may be the output itself") {
  Layer layer(DType::F64), other(DType::F64);
  linear(other.y, other.x, other.weight, {.residual = other.residual.view()}, kStream);
  linear(layer.residual, layer.x, layer.weight, {.residual = layer.residual.view()}, kStream);
  CHECK(layer.residual.values() == other.y.values());
}

TEST_CASE("the gradients of linear agree with differences and add or overwrite as asked") {
  Layer layer(DType::F64);
  const auto loss = [&] {
    layer.forward(Activation::none);
    return scalar_product(layer.y, layer.upstream);
  };
  GuardedMatrix dx(DType::F64, 7, 13);
  dx.fill(std::numeric_limits<double>::quiet_NaN());
  linear_backward_input(dx, layer.upstream, layer.weight, Write::overwrite, kStream);
  check_gradient("x", layer.x, dx, loss);

  OwnedTensor dw(DType::F64, {19, 13}), db(DType::F64, {19});
  linear_backward_weight(dw, db, layer.upstream, layer.x, kStream);
  check_gradient("weight", layer.weight.view(), dw.view(), loss);
  check_gradient("bias", layer.bias.view(), db.view(), loss);

  const auto once_x = dx.values(), once_w = values_of(dw), once_b = values_of(db);
  linear_backward_input(dx, layer.upstream, layer.weight, Write::add, kStream);
  linear_backward_weight(dw, db, layer.upstream, layer.x, kStream);
  const auto doubled = [](std::vector<double> v) {
    for (double& e : v) e *= 2;
    return v;
  };
  CHECK(relative_error(dx.values(), doubled(once_x)) < 1e-15);
  CHECK(relative_error(values_of(dw), doubled(once_w)) < 1e-15);
  CHECK(relative_error(values_of(db), doubled(once_b)) < 1e-15);
  CHECK(dx.guards_intact());
  CHECK(layer.guards_intact());
}

TEST_CASE("either of the weight and bias gradients may be left out") {
  Layer layer(DType::F64, 50);
  OwnedTensor dw(DType::F64, {19, 13}), db(DType::F64, {19}), dw_alone(DType::F64, {19, 13}),
      db_alone(DType::F64, {19});
  linear_backward_weight(dw, db, layer.upstream, layer.x, kStream);
  linear_backward_weight(dw_alone, {}, layer.upstream, layer.x, kStream);
  linear_backward_weight({}, db_alone, layer.upstream, layer.x, kStream);
  CHECK(values_of(dw_alone) == values_of(dw));
  CHECK(values_of(db_alone) == values_of(db));
}

TEST_CASE("linear in f32 agrees with f64 to the rounding of its sums") {
  // Sizes of a real layer; 384 terms of size 0.3 give results up to 30, so 1e-6 of that is 50 times the
  // rounding of one addition.
  Layer small(DType::F32, 65, 384, 200), exact(DType::F64, 65, 384, 200);
  for (Layer* layer : {&small, &exact}) layer->forward(Activation::gelu);
  CHECK(relative_error(small.y.values(), exact.y.values()) < 1e-6);
  CHECK(relative_error(small.activated.values(), exact.activated.values()) < 1e-6);
}

TEST_CASE("no rows: linear writes nothing and its weight gradient is zero") {
  Layer layer(DType::F32, 0);
  layer.forward();
  GuardedMatrix dx(DType::F32, 0, 13);
  linear_backward_input(dx, layer.upstream, layer.weight, Write::overwrite, kStream);
  OwnedTensor dw(DType::F32, {19, 13}), db(DType::F32, {19});
  linear_backward_weight(dw, db, layer.upstream, layer.x, kStream);
  CHECK(values_of(dw) == std::vector<double>(19 * 13, 0.0));
  CHECK(values_of(db) == std::vector<double>(19, 0.0));
  CHECK(layer.guards_intact());
  CHECK(dx.guards_intact());
}

TEST_CASE("linear and its gradients have the same bits for every thread count") {
  check_same_bits_for_every_thread_count([] {
    Layer layer(DType::F32, 301, 130, 90);
    layer.forward();
    GuardedMatrix dx(DType::F32, 301, 130);
    linear_backward_input(dx, layer.upstream, layer.weight, Write::overwrite, kStream);
    OwnedTensor dw(DType::F32, {90, 130}), db(DType::F32, {90});
    linear_backward_weight(dw, db, layer.upstream, layer.x, kStream);
    std::vector<double> all;
    for (const auto& part :
         {layer.y.values(), layer.activated.values(), dx.values(), values_of(dw), values_of(db)}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  });
}

TEST_CASE("linear refuses shapes and types that do not fit") {
  Layer layer(DType::F32);
  const OwnedTensor narrow(DType::F32, {19, 12}), wide(DType::F64, {19, 13}), short_bias(DType::F32, {18});
  const auto code = [](auto&& call) { return failure_of(call).code; };
  CHECK(code([&] { linear(layer.y, layer.x, narrow, {}, kStream); }) == ExitCode::internal);
  CHECK(code([&] { linear(layer.y, layer.x, wide, {}, kStream); }) == ExitCode::internal);
  CHECK(code([&] { linear(layer.y, layer.x, layer.weight, {.bias = short_bias}, kStream); }) ==
        ExitCode::internal);
  CHECK(code([&] { linear(layer.y, layer.x, layer.weight, {.residual = layer.x.view()}, kStream); }) ==
        ExitCode::internal);
  CHECK(code([&] { linear(layer.y, layer.x, layer.weight, {.activation = Activation::silu}, kStream); }) ==
        ExitCode::internal);
  CHECK(code([&] { linear_backward_weight(narrow, {}, layer.upstream, layer.x, kStream); }) ==
        ExitCode::internal);
  CHECK(code([&] { linear_backward_input(layer.x, layer.upstream, narrow, Write::add, kStream); }) ==
        ExitCode::internal);
  CHECK(code([&] { linear(layer.y, layer.x, layer.weight, {}, kStream); }) == ExitCode::done);
}
