#include "runtime/ops/adamw.h"

#include <limits>

#include "runtime/ops/argmax.h"
#include "runtime/ops/combine.h"
#include "runtime/ops/hash.h"
#include "tests/runtime/ops/cuda/twin.h"

using namespace longsight;
using namespace longsight::cuda_test;

TEST_CASE_TEMPLATE("a step of AdamW on CUDA is that of the host, with its copy in bf16", T, float, double) {
  constexpr DType kType = dtype_of<T>();
  for (const i64 n : {1, 31, 33, 100, 1000}) {
    CAPTURE(n);
    Twin value(kType, {n}, "value"), gradient(kType, {n}, "gradient"), first(kType, {n}, "first"),
        second(kType, {n}, "second"), copy(DType::BF16, {n}, "copy"), scale(DType::F64, {1}, "scale");
    for (i64 i = 0; i < n; ++i) second.set(i, static_cast<T>(0.01 * static_cast<double>(1 + i % 7)));
    scale.set(0, 0.5);
    const ops::AdamWOptions options{.lr = 1e-2, .weight_decay = 0.1, .step = 3};
    same_on_cuda("adamw_step", {&value, &gradient, &first, &second, &copy}, 8, [&](const Side& s) {
      ops::adamw_step(s(value), s(gradient), s(first), s(second), s(scale), options, s.stream, s(copy));
    });
  }
}

TEST_CASE("a step that must not be taken only clears the gradient") {
  Twin value(DType::F32, {33}, "value"), gradient(DType::F32, {33}, "gradient"),
      scale(DType::F64, {1}, "scale");
  scale.set(0, std::numeric_limits<double>::quiet_NaN());
  Twin first(DType::F32, {33}, "first"), second(DType::F32, {33}, "second");
  same_on_cuda("adamw_step", {&value, &gradient, &first, &second}, 0, [&](const Side& s) {
    ops::adamw_step(s(value), s(gradient), s(first), s(second), s(scale), {.lr = 1}, s.stream);
  });
}

TEST_CASE_TEMPLATE("the sum of squares and the clip factor on CUDA are those of the host", T, float, double) {
  for (const i64 n : {i64{1}, i64{33}, i64{1000}, i64{70001}}) {
    CAPTURE(n);
    Twin x(dtype_of<T>(), {n}, "x"), sum(DType::F64, {1}, "sum"), loss(DType::F64, {1}, "loss"),
        scale(DType::F64, {1}, "scale");
    sum.set(0, 2.5);
    same_on_cuda("sum_of_squares", {&sum}, static_cast<double>(n),
                 [&](const Side& s) { ops::sum_of_squares(s(sum), s(x), s.stream); });
    same_on_cuda("clip_scale", {&scale}, static_cast<double>(n),
                 [&](const Side& s) { ops::clip_scale(s(scale), s(sum), s(loss), 1.0, s.stream); });
    loss.set(0, std::numeric_limits<double>::infinity());
    same_on_cuda("clip_scale", {&scale}, 0,
                 [&](const Side& s) { ops::clip_scale(s(scale), s(sum), s(loss), 1.0, s.stream); });
  }
}

TEST_CASE_TEMPLATE("terms on CUDA are combined as on the host", T, float, double, bf16, std::int32_t, i64) {
  constexpr bool kInteger = std::is_integral_v<T>;
  for (const i64 n : {1, 31, 33, 256, 1001}) {
    CAPTURE(n);
    std::vector<Twin> terms;
    for (const char* name : {"a", "b", "c", "d", "e"}) terms.emplace_back(dtype_of<T>(), Shape{n}, name);
    Twin y(dtype_of<T>(), {n}, "y");
    for (const auto how : {ops::Combination::sum, ops::Combination::max}) {
      if constexpr (!kInteger) {
        if (n == 33) terms[2].set(7, static_cast<T>(std::numeric_limits<float>::quiet_NaN()));
      }
      same_on_cuda("combine", {&y}, 0, [&](const Side& s) {
        std::vector<Tensor> all;
        for (const Twin& term : terms) all.push_back(s(term));
        ops::combine(s(y), all, how, s.stream);
      });
    }
  }
}

TEST_CASE_TEMPLATE(
    "the likeliest token on CUDA is that of the host, the first of equal ones, none where one is not finite",
    T, float, double, bf16) {
  for (const i64 columns : {1, 31, 33, 1000, 1500}) {
    CAPTURE(columns);
    Twin x(dtype_of<T>(), {4, columns}, "x", 3), index(DType::I64, {4}, "index");
    const i64 stride = columns + 3;
    x.set(3 + columns / 3, T(100.F));
    x.set(3 + columns / 2, T(100.F));
    x.set(3 + 2 * stride + columns - 1, T(std::numeric_limits<float>::infinity()));
    x.set(3 + 3 * stride + columns / 2, T(std::numeric_limits<float>::quiet_NaN()));
    same_on_cuda("argmax", {&index}, 0, [&](const Side& s) { ops::argmax(s(index), s.rows(x), s.stream); });
  }
}

TEST_CASE("a hash on CUDA is that of the host for every length, wherever the memory begins") {
  Twin memory(DType::F32, {5000}, "memory"), out(DType::I64, {2}, "out");
  for (const i64 first : {0, 1, 6}) {
    for (const i64 bytes : {0,    1,    3,    8,    16,   17,   128,  129,  240,  241,  256,
                            1023, 1024, 1025, 1087, 1088, 1089, 2048, 2049, 4097, 17000}) {
      CAPTURE(first);
      CAPTURE(bytes);
      same_on_cuda("hash", {&out}, 0, [&](const Side& s) {
        const Tensor all = s(memory);
        ops::hash(s(out), {static_cast<std::byte*>(all.data()) + first, DType::U8, {bytes}, all.backend()},
                  s.stream);
      });
    }
  }
}
