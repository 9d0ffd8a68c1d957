#include "runtime/ops/activation.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

constexpr Activation kAll[] = {Activation::none,       Activation::gelu, Activation::gelu_tanh,
                               Activation::quick_gelu, Activation::silu, Activation::relu};

double expected_value(Activation kind, double x) {
  switch (kind) {
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::none:
      break;
  }
  return x;
}

}  // namespace

TEST_CASE("Hugging Face names of activations") {
  CHECK(activation_from_hf("gelu", "config.json") == Activation::gelu);
  CHECK(activation_from_hf("gelu_new", "config.json") == Activation::gelu_tanh);
  CHECK(activation_from_hf("gelu_pytorch_tanh", "config.json") == Activation::gelu_tanh);
  CHECK(activation_from_hf("quick_gelu", "config.json") == Activation::quick_gelu);
  CHECK(activation_from_hf("silu", "config.json") == Activation::silu);
  CHECK(activation_from_hf("swish", "config.json") == Activation::silu);
  CHECK(activation_from_hf("relu", "config.json") == Activation::relu);
  const Failure unknown =
      failure_of([] { activation_from_hf("mish", "config.json: vision_config.hidden_act"); });
  CHECK(unknown.code == ExitCode::bad_data);
  CHECK(contains(unknown.message, "config.json: vision_config.hidden_act"));
  CHECK(contains(unknown.message, "mish"));
}

TEST_CASE("activations have the values of their formulas, in f64 and f32") {
  for (const Activation kind : kAll) {
    CAPTURE(static_cast<int>(kind));
    for (const DType dtype : {DType::F64, DType::F32}) {
      GuardedMatrix x(dtype, 9, 37), y(dtype, 9, 37, 1);
      x.randomise("x", 3);
      activation(y, x, kind, kStream);
      auto expected = x.values();
      for (double& v : expected) v = expected_value(kind, v);
      // In f32: the input of size 10 times a few roundings, over results of size 10.
      CHECK(relative_error(y.values(), expected) < (dtype == DType::F64 ? 1e-15 : 3e-7));
      CHECK(y.guards_intact());
      activation(x, x, kind, kStream);  // in place
      CHECK(x.values() == y.values());
    }
  }
}

TEST_CASE("the slopes of activations agree with differences") {
  for (const Activation kind : kAll) {
    CAPTURE(static_cast<int>(kind));
    GuardedMatrix x(DType::F64, 5, 11), y(DType::F64, 5, 11), dy(DType::F64, 5, 11, 2),
        dx(DType::F64, 5, 11, 4);
    x.randomise("x", 1.5);
    dy.randomise("dy");
    activation_backward(dx, dy, x, kind, kStream);
    check_gradient("x", x, dx, [&] {
      activation(y, x, kind, kStream);
      return scalar_product(y, dy);
    });
    CHECK(dx.guards_intact());
    activation_backward(dy, dy, x, kind, kStream);  // in place
    CHECK(dy.values() == dx.values());
  }
}

TEST_CASE("slopes in f32 agree with f64") {
  for (const Activation kind : kAll) {
    CAPTURE(static_cast<int>(kind));
    std::vector<double> results[2];
    for (const DType dtype : {DType::F32, DType::F64}) {
      GuardedMatrix x(dtype, 9, 100), d(dtype, 9, 100);
      x.randomise("x", 3);
      d.randomise("d");
      activation_backward(d, d, x, kind, kStream);
      results[dtype == DType::F64] = d.values();
    }
    CHECK(relative_error(results[0], results[1]) < 1e-6);  // a dozen roundings of 6e-8
  }
}

TEST_CASE("a gated activation multiplies act(gate) by up, and its gradients agree with differences") {
  for (const Activation kind : kAll) {
    CAPTURE(static_cast<int>(kind));
    GuardedMatrix gate_up(DType::F64, 4, 2 * 9, 3), h(DType::F64, 4, 9, 2), dh(DType::F64, 4, 9, 1);
    gate_up.randomise("gate_up");
    dh.randomise("dh");
    gated(h, gate_up, kind, kStream);
    CHECK(h.at(2, 3) ==
          doctest::Approx(expected_value(kind, gate_up.at(2, 3)) * gate_up.at(2, 12)).epsilon(1e-14));

    GuardedMatrix d(DType::F64, 4, 18, 5), again(DType::F64, 4, 9, 2);
    gated_backward(d, again, dh, gate_up, kind, kStream);
    CHECK(again.values() == h.values());
    check_gradient("gate_up", gate_up, d, [&] {
      GuardedMatrix y(DType::F64, 4, 9);
      gated(y, gate_up, kind, kStream);
      return scalar_product(y, dh);
    });
    CHECK(d.guards_intact());
    CHECK(again.guards_intact());
    CHECK(h.guards_intact());

    GuardedMatrix in_place(DType::F64, 4, 18, 3);
    in_place.randomise("gate_up");
    gated_backward(in_place, {}, dh, in_place, kind, kStream);
    CHECK(in_place.values() == d.values());
  }
}

TEST_CASE("activations have the same bits for every thread count, and take no rows") {
  check_same_bits_for_every_thread_count([] {
    GuardedMatrix gate_up(DType::F32, 301, 260), h(DType::F32, 301, 130);
    gate_up.randomise("gate_up");
    gated(h, gate_up, Activation::silu, kStream);
    gated_backward(gate_up, h, h, gate_up, Activation::gelu, kStream);
    auto all = gate_up.values();
    for (const double v : h.values()) all.push_back(v);
    return all;
  });
  const GuardedMatrix none(DType::F32, 0, 4), none_twice(DType::F32, 0, 8);
  gated(none, none_twice, Activation::silu, kStream);
  activation(none, none, Activation::silu, kStream);
  CHECK(none.guards_intact());
}

TEST_CASE("a gated activation refuses widths that do not fit") {
  const GuardedMatrix h(DType::F32, 2, 4), odd(DType::F32, 2, 7), wide(DType::F64, 2, 8);
  CHECK(failure_of([&] { gated(h, odd, Activation::silu, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] { gated(h, wide, Activation::silu, kStream); }).code == ExitCode::internal);
  CHECK(failure_of([&] { activation(h, odd, Activation::silu, kStream); }).code == ExitCode::internal);
}
