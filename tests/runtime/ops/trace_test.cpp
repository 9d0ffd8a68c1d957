#include "runtime/device/trace.h"

#include <functional>
#include <string>

#include <doctest/doctest.h>

#include "runtime/ops/adamw.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/merge_attention.h"
#include "runtime/ops/norm.h"
#include "runtime/ops/rows.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

// Tensors of a trace have addresses and no memory: an op that touches them ends this test.
struct Traced {
  Trace trace;
  Arena arena{"traced", Backend::trace};
  Tensor take(Shape shape, DType dtype = DType::F32) { return arena.take(dtype, shape, "x"); }
};

}  // namespace

TEST_CASE("A traced product computes nothing and says its work") {
  Traced t;
  const Tensor x = t.take({7, 16}), weight = t.take({24, 16}), bias = t.take({24}), y = t.take({7, 24});
  linear(y, x, weight, {.bias = bias}, t.trace.stream());
  linear_backward_input(x, y, weight, Write::overwrite, t.trace.stream());
  linear_backward_weight(weight, bias, y, x, t.trace.stream());
  REQUIRE(t.trace.calls().size() == 3);
  CHECK(std::string(t.trace.calls()[0].op) == "linear");
  for (const Work& work : t.trace.calls()) CHECK(work.flops == 2. * 7 * 16 * 24);
  CHECK(t.trace.calls()[0].bytes == 4. * (7 * 16 + 24 * 16 + 24 + 7 * 24));
  CHECK(t.trace.flops() == 3 * 2. * 7 * 16 * 24);
}

TEST_CASE("A traced product in bf16 moves half the bytes, but for the gradient of its weight") {
  Traced t;
  const auto half = DType::BF16;
  const Tensor x = t.take({7, 16}, half), weight = t.take({24, 16}, half), bias = t.take({24}, half);
  const Tensor y = t.take({7, 24}, half), d_weight = t.take({24, 16}), d_bias = t.take({24});
  linear(y, x, weight, {.bias = bias}, t.trace.stream());
  linear_backward_input(x, y, weight, Write::overwrite, t.trace.stream());
  linear_backward_weight(d_weight, d_bias, y, x, t.trace.stream());
  REQUIRE(t.trace.calls().size() == 3);
  for (const Work& work : t.trace.calls()) CHECK(work.flops == 2. * 7 * 16 * 24);
  CHECK(t.trace.calls()[0].bytes == 2. * (7 * 16 + 24 * 16 + 24 + 7 * 24));
  CHECK(t.trace.calls()[2].bytes == 4. * (2 * 24 * 16 + 24) + 2. * (7 * 24 + 7 * 16));
}

TEST_CASE_TEMPLATE("Traced attention counts the pairs that see each other, and takes the scratch of the host",
                   T, float, bf16) {
  const AttentionSpan spans[] = {{0, 300, 0, 300, 0, true}, {300, 5, 300, 5, 0, true}};
  const double pairs = 300. * 301 / 2 + 5. * 6 / 2;
  const AttentionProblem problem{
      .spans = spans, .heads = {.first_q = 0, .group = 2, .first_kv = 0}, .scale = 1};
  Traced t;
  Arena host("host");
  i64 high[2] = {};
  for (const bool traced : {true, false}) {
    Arena& arena = traced ? t.arena : host;
    const Stream stream = traced ? t.trace.stream() : Stream{};
    const auto take = [&](i64 heads) { return arena.take(dtype_of<T>(), {305, heads, 8}, "x"); };
    const auto per_head = [&] { return arena.take(DType::F32, {305, 4}, "x"); };
    const Tensor q = take(4), k = take(2), v = take(2), o = take(4), lse = per_head();
    const Tensor dq = take(4), dk = take(2), dv = take(2), delta = per_head();
    if (!traced)
      for (const Tensor& x : {q, k, v}) fill_zero(x, stream);
    attention(o, lse, q, k, v, problem, arena, stream);
    attention_delta(delta, o, o, stream);
    attention_backward(dq, dk, dv, o, delta, lse, q, k, v, problem, arena, stream);
    high[traced] = arena.high_water();
  }
  CHECK(high[true] == high[false]);
  REQUIRE(t.trace.calls().size() == 3);
  CHECK(t.trace.calls()[0].bytes == 305. * (12 * 8 * sizeof(T) + 4 * sizeof(float)));
  CHECK(t.trace.calls()[0].flops == 4 * pairs * 4 * 8);
  CHECK(t.trace.calls()[2].flops == 10 * pairs * 4 * 8);
  CHECK(t.trace.calls()[2].again == 2 * pairs * 4 * 8);
}

TEST_CASE("A traced merge reads two results and writes one") {
  Traced t;
  const Tensor o = t.take({7, 4, 8}), part = t.take({7, 4, 8}), lse = t.take({7, 4}),
               part_lse = t.take({7, 4});
  merge_attention(o, lse, part, part_lse, t.trace.stream());
  REQUIRE(t.trace.calls().size() == 1);
  CHECK(t.trace.calls()[0].bytes == 4. * 3 * (7 * 4 * 8 + 7 * 4));
}

TEST_CASE("A traced loss goes through its chunks") {
  Traced t;
  const IndexList targets = IndexList::counted(5, 32);
  const ProjectedLoss p{.x = t.take({5, 8}), .weight = t.take({32, 8}), .targets = targets, .chunk_rows = 2};
  projected_loss_with_gradient(t.take({1}, DType::F64), t.take({5, 8}), t.take({32, 8}), p, t.arena,
                               t.trace.stream());
  CHECK(t.trace.flops() == 3 * 2. * 5 * 8 * 32);
  // Two full chunks, told by one, and the rest.
  i64 calls = 0;
  for (const Work& work : t.trace.calls()) calls += work.times;
  CHECK(calls == 3 * 4);
  CHECK(t.trace.calls().size() == 2 * 4);
}

TEST_CASE("What is checked on the host is checked in a trace") {
  Traced t;
  const IndexList index = IndexList::counted(2, 4);
  CHECK_THROWS(gather_rows(t.take({2, 4}), t.take({3, 4}), index, t.trace.stream()));
  CHECK_THROWS(rms_norm(t.take({2, 4}), t.take({2}), t.take({2, 4}), t.take({5}), 1e-5, t.trace.stream()));
}

TEST_CASE("A scalar that is read in the middle of a trace throws") {
  Traced t;
  const Tensor sum = t.take({1}, DType::F64);
  sum_of_squares(sum, t.take({5}), t.trace.stream());
  CHECK_THROWS(read_scalar(sum, t.trace.stream()));
  write_scalar(sum, 1, t.trace.stream());
  CHECK(std::string(t.trace.calls().back().op) == "write_values");
}

TEST_CASE("Work belongs to the part of the program that has begun") {
  Traced t;
  zero_matrix(t.take({2, 4}), t.trace.stream());
  begin_part(t.trace.stream(), "vision");
  zero_matrix(t.take({2, 4}), t.trace.stream());
  begin_part({}, "nothing on the host");
  REQUIRE(t.trace.calls().size() == 2);
  CHECK(std::string(t.trace.calls()[0].place.part).empty());
  CHECK(std::string(t.trace.calls()[1].place.part) == "vision");
}

TEST_CASE("Memory of a trace is not read on the host, and another backend than there is says so") {
  Traced t;
  const Tensor x = t.take({2, 4});
  CHECK_THROWS(x.host<float>());
  CHECK_THROWS(Matrix(x).columns(1, 2).host<float>());
  CHECK_THROWS(rms_norm(x, t.take({2}), x, t.take({4}), 1e-5, {Backend::cuda, nullptr}));
}
