#include "runtime/tensor/parameters.h"

#include <cmath>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;

namespace {

Parameter parameter(const std::string& name, Shape shape, Init init = init_zeros(),
                    const std::string& part = "language") {
  return {.name = name, .shape = shape, .part = part, .init = init};
}

std::vector<float> values_of(const Tensor& x) {
  return {x.host<float>(), x.host<float>() + x.elements()};
}

}  // namespace

TEST_CASE("parameters lie in registration order, without gaps, and are found by name") {
  ParameterRegistry registry;
  CHECK(registry.add(parameter("a", {2, 3})) == 0);
  CHECK(registry.add(parameter("b", {5})) == 1);
  CHECK(registry.add(parameter("c", {1, 1})) == 2);
  registry.allocate(DType::F32, true);
  CHECK(registry.size() == 3);
  CHECK(registry.find("b") == 1);
  CHECK(registry.find("d") == -1);
  CHECK(registry.values().elements() == 12);
  CHECK(registry.gradients().elements() == 12);
  auto* all = registry.values().host<float>();
  CHECK(registry.value(0).host<float>() == all);
  CHECK(registry.value(1).host<float>() == all + 6);
  CHECK(registry.value(2).host<float>() == all + 11);
  CHECK(registry.value(0).shape() == Shape{2, 3});
  CHECK(registry.grad(1).host<float>() == registry.gradients().host<float>() + 6);
}

TEST_CASE("what has two dimensions in the file is decayed, also a class token of [1, 1, C]") {
  CHECK(parameter("w", {2, 3}).decays());
  CHECK(parameter("cls", {1, 1, 4}).decays());
  CHECK(!parameter("bias", {3}).decays());
}

TEST_CASE("frozen and unused parameters have values but no gradient") {
  ParameterRegistry registry;
  registry.add(parameter("vision.w", {2, 2}, init_zeros(), "vision"));
  registry.add(parameter("language.w", {2, 3}));
  Parameter unused = parameter("language.last", {7});
  unused.used = false;
  registry.add(unused);
  registry.add(parameter("language.b", {3}));
  registry.set_trainable([](const Parameter& p) { return p.part != "vision"; });
  registry.allocate(DType::F64, true);
  CHECK(registry.values().elements() == 20);
  CHECK(registry.gradients().elements() == 9);
  CHECK(!registry.has_grad(0));
  CHECK(!registry.has_grad(2));
  CHECK(registry.grad(3).host<double>() == registry.gradients().host<double>() + 6);
  CHECK(failure_of([&] { registry.grad(0); }).code == ExitCode::internal);
}

TEST_CASE("neighbours are seen joined by rows, values and gradients") {
  ParameterRegistry registry;
  registry.add(parameter("first", {9}));
  const ParameterId q = registry.add(parameter("q", {4, 3}));
  registry.add(parameter("k", {2, 3}));
  registry.add(parameter("v", {2, 3}));
  const ParameterId bias = registry.add(parameter("q.bias", {4}));
  registry.add(parameter("k.bias", {2}));
  registry.allocate(DType::F32, true);
  for (i64 i = 0; i < registry.values().elements(); ++i)
    registry.values().host<float>()[i] = static_cast<float>(i);
  const Tensor qkv = registry.joined_weight(q, 3);
  CHECK(qkv.shape() == Shape{8, 3});
  CHECK(qkv.row_range(4, 2).host<float>() == registry.value(q + 1).host<float>());
  CHECK(qkv.host<float>()[23] == 9 + 23);
  CHECK(registry.joined_grad(q, 3).row_range(6, 2).host<float>() == registry.grad(q + 2).host<float>());
  CHECK(registry.joined_weight(bias, 2).shape() == Shape{6});
  CHECK(failure_of([&] { registry.joined_weight(q + 2, 2); }).code == ExitCode::internal);  // [2, 3] and [4]
  CHECK(failure_of([&] { registry.joined_weight(0, 2); }).code == ExitCode::internal);      // [9] and [4, 3]
}

TEST_CASE("a joined gradient needs all its parts") {
  ParameterRegistry registry;
  registry.add(parameter("q", {2, 3}));
  registry.add(parameter("k", {2, 3}));
  registry.set_trainable([](const Parameter& p) { return p.name == "q"; });
  registry.allocate(DType::F32, true);
  CHECK(!registry.all_have_grad(0, 2));
  CHECK(registry.all_have_grad(0, 1));
  CHECK(failure_of([&] { registry.joined_grad(0, 2); }).code == ExitCode::internal);
}

TEST_CASE("initial values depend on the name and the seed, not on the order of registration") {
  ParameterRegistry one, two, other_seed;
  one.add(parameter("a", {40, 50}, init_normal(0.5)));
  one.add(parameter("b", {30}, init_normal(0.5)));
  one.add(parameter("ones", {3}, init_ones()));
  two.add(parameter("zeros", {7}, init_zeros()));
  two.add(parameter("b", {30}, init_normal(0.5)));
  two.add(parameter("a", {40, 50}, init_normal(0.5)));
  other_seed.add(parameter("a", {40, 50}, init_normal(0.5)));
  one.allocate(DType::F32, false);
  two.allocate(DType::F32, true);
  other_seed.allocate(DType::F32, false);
  one.initialise(3);
  two.initialise(3);
  other_seed.initialise(4);
  const auto a = values_of(one.value(0));
  CHECK(a == values_of(two.value(2)));
  CHECK(values_of(one.value(1)) == values_of(two.value(1)));
  CHECK(a != values_of(other_seed.value(0)));
  CHECK(values_of(one.value(2)) == std::vector<float>{1, 1, 1});
  CHECK(values_of(two.value(0)) == std::vector<float>(7, 0));
  double sum = 0, squares = 0;
  for (const float x : a) {
    sum += x;
    squares += x * x;
  }
  // Five standard errors of the mean and the variance of 2,000 values with deviation 0.5.
  CHECK(std::abs(sum / 2000) < 5 * 0.5 / std::sqrt(2000.0));
  CHECK(std::abs(squares / 2000 - 0.25) < 5 * 0.25 * std::sqrt(2.0 / 2000));
}

TEST_CASE("f32 and f64 start from the same model") {
  ParameterRegistry single, twice;
  single.add(parameter("a", {100}, init_normal(0.02)));
  twice.add(parameter("a", {100}, init_normal(0.02)));
  single.allocate(DType::F32, false);
  twice.allocate(DType::F64, false);
  single.initialise(1);
  twice.initialise(1);
  for (i64 i = 0; i < 100; ++i) CHECK(twice.value(0).host<double>()[i] == single.value(0).host<float>()[i]);
}

TEST_CASE("a registry is filled, then allocated once") {
  ParameterRegistry registry;
  registry.add(parameter("a", {2}));
  CHECK(failure_of([&] { registry.add(parameter("a", {3})); }).code == ExitCode::internal);
  registry.allocate(DType::F32, false);
  CHECK(registry.gradients().elements() == 0);
  CHECK(failure_of([&] { registry.add(parameter("b", {3})); }).code == ExitCode::internal);
  CHECK(failure_of([&] { registry.allocate(DType::F32, false); }).code == ExitCode::internal);
  CHECK(failure_of([&] { registry.set_trainable([](const Parameter&) { return false; }); }).code ==
        ExitCode::internal);
}

TEST_CASE("in mixed precision weights are the values rounded to bf16, beside masters and gradients in f32") {
  ParameterRegistry mixed, single;
  for (ParameterRegistry* registry : {&mixed, &single}) {
    registry->add(parameter("odd", {7}, init_normal(0.3)));
    registry->add(parameter("q", {4, 3}, init_normal(0.3)));
    registry->add(parameter("k", {2, 3}, init_normal(0.3)));
  }
  mixed.allocate(DType::BF16, true);
  single.allocate(DType::F32, true);
  CHECK(mixed.precision() == Precision(DType::BF16));
  CHECK(mixed.precision().mixed());
  CHECK(!single.precision().mixed());
  CHECK(single.weight(1).data() == single.value(1).data());
  mixed.initialise(3);
  single.initialise(3);
  CHECK(mixed.value_bytes() == 25 * (4 + 2));
  CHECK(mixed.gradients().dtype() == DType::F32);
  bool rounded = false;
  const auto check_weights = [&] {
    for (ParameterId id = 0; id < mixed.size(); ++id) {
      const Tensor value = mixed.value(id), weight = mixed.weight(id);
      CHECK(weight.shape() == value.shape());
      for (i64 i = 0; i < value.elements(); ++i) {
        CHECK(weight.host<bf16>()[i].bits == bf16(value.host<float>()[i]).bits);
        rounded = rounded || static_cast<float>(weight.host<bf16>()[i]) != value.host<float>()[i];
      }
    }
  };
  check_weights();
  CHECK(rounded);
  CHECK(values_of(mixed.value(1)) == values_of(single.value(1)));
  CHECK(mixed.joined_weight(1, 2).shape() == Shape{6, 3});
  CHECK(mixed.joined_weight(1, 2).row_range(4, 2).data() == mixed.weight(2).data());
  // Changed in place, written, given.
  mixed.value(0).host<float>()[6] = 1.2345678F;
  mixed.round_weights({});
  check_weights();
  mixed.write(1, [](Tensor value) {
    for (i64 i = 0; i < value.elements(); ++i) value.host<float>()[i] = 0.7F + static_cast<float>(i) / 3;
  });
  check_weights();
  mixed.keep(2, single.value(2));
  check_weights();
  CHECK(values_of(mixed.value(2)) == values_of(single.value(2)));
}
