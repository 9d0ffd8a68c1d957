#include "runtime/ops/attention.h"

#include <bit>
#include <cstring>
#include <tuple>

#include <omp.h>

#include "tests/runtime/ops/attention_reference.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

// Tiles hold up to 96 rows in strips of 6 or 12 and vectors of 4 to 16 lanes: lengths on, below and above
// these.
std::vector<Problem> problems() {
  return {
      {.spans = packed({1, 2, 63, 64, 65, 129, 300}, true), .heads = 3, .kv_heads = 1, .map = {0, 3, 0}},
      {.spans = packed({1, 2, 63, 64, 65, 129, 300}, false), .heads = 2, .kv_heads = 2, .width = 20},
      {.spans = packed({97, 191, 5}, true), .heads = 2, .kv_heads = 2, .width = 72},
      {.spans = packed({33, 100}, true), .heads = 1, .kv_heads = 1, .width = 128},
      {.spans = packed({7, 110}, false), .heads = 2, .kv_heads = 1, .width = 3, .map = {0, 2, 0}},
      // Heads 2 to 6 of a model with groups of three: one head of the first group, one of the last.
      {.spans = packed({150, 40}, true), .heads = 5, .kv_heads = 3, .width = 64, .map = {2, 3, 0}},
      // Heads 7 and 8 of it: KV head 2 is row 0 here, and KV head 3 is here but has no query head.
      {.spans = packed({50}, true), .heads = 2, .kv_heads = 2, .width = 8, .map = {7, 3, 2}},
      // Below, on, above the diagonal; all and nothing visible; no keys; no queries; only the last queries
      // see a key.
      {.spans = diagonals({{37, 50, -5},
                           {100, 130, 30},
                           {130, 100, -30},
                           {20, 10, 500},
                           {30, 40, -100},
                           {5, 0, 0},
                           {0, 7, 0},
                           {140, 140, -137},
                           {1, 200, 199},
                           {200, 1, 0},
                           {98, 200, 97}}),
       .heads = 2,
       .kv_heads = 2,
       .width = 80},
      // Windows: of one key; inside a tile, over its edges, over several tiles; as long as the sequence and
      // longer.
      {.spans = masked(packed({1, 65, 300}, true), 1, 0), .heads = 2, .kv_heads = 1, .map = {0, 2, 0}},
      {.spans = masked(packed({3, 64, 129, 97, 450}, true), 64, 0), .heads = 2, .kv_heads = 2, .width = 20},
      {.spans = masked(packed({500, 29}, true), 193, 0), .heads = 3, .kv_heads = 1, .map = {0, 3, 0}},
      {.spans = masked(packed({131, 130, 7}, true), 131, 0), .heads = 1, .kv_heads = 1, .width = 64},
      // Prefixes: a part, all, more than there is; inside a tile, of several tiles.
      {.spans = masked(packed({1, 40, 300}, true), 0, 1), .heads = 2, .kv_heads = 2},
      {.spans = masked(packed({50, 101, 260}, true), 0, 101), .heads = 2, .kv_heads = 1, .map = {0, 2, 0}},
      {.spans = masked(packed({600}, true), 0, 395), .heads = 1, .kv_heads = 1, .width = 24},
      // Both, apart from each other by several tiles and by less than a vector; sequences that are cut, with
      // queries before all keys and behind all windows.
      {.spans = masked(packed({700, 60}, true), 40, 30), .heads = 2, .kv_heads = 2},
      {.spans = masked(packed({260}, true), 9, 200),
       .heads = 3,
       .kv_heads = 1,
       .width = 20,
       .map = {0, 3, 0}},
      {.spans = masked(diagonals({{37, 50, -5},
                                  {100, 330, 230},
                                  {130, 100, -30},
                                  {20, 10, 500},
                                  {30, 40, -100},
                                  {5, 0, 0},
                                  {0, 7, 0},
                                  {140, 90, 60},
                                  {1, 200, 199},
                                  {200, 1, 0}}),
                       50, 0),
       .heads = 2,
       .kv_heads = 2,
       .width = 36},
      {.spans = masked(diagonals({{37, 50, -5},
                                  {100, 330, 230},
                                  {130, 100, -30},
                                  {20, 10, 500},
                                  {30, 40, -100},
                                  {5, 0, 0},
                                  {0, 7, 0},
                                  {140, 290, 160},
                                  {200, 1, 0}}),
                       21, 33),
       .heads = 2,
       .kv_heads = 1,
       .map = {0, 2, 0}},
  };
}

}  // namespace

TEST_CASE(
    "attention is within the rounding of its operations, forward and all gradients, on each instruction "
    "set") {
  for (const Problem& p : problems()) {
    CAPTURE(p.width);
    CAPTURE(p.heads);
    const Inputs in32(DType::F32, p), in64(DType::F64, p);
    const Reference f32(p, in64, std::numeric_limits<float>::epsilon() / 2);
    // Twice the unit: the reference is computed in f64 too.
    const Reference f64(p, in64, std::numeric_limits<double>::epsilon());
    for (const host::InstructionSet set : instruction_sets()) {
      check_within_bounds<float>(compute<float>(p, in32, set), f32);
      check_within_bounds<double>(compute<double>(p, in64, set), f64);
    }
  }
}

TEST_CASE("attention in bf16 computes what f32 does and rounds each result once") {
  for (const Problem& p : problems()) {
    CAPTURE(p.width);
    CAPTURE(p.heads);
    const Inputs in(DType::BF16, p), wide(DType::F32, p);
    copy(wide.q, in.q, {});
    copy(wide.k, in.k, {});
    copy(wide.v, in.v, {});
    copy(wide.d_o, in.d_o, {});
    for (const host::InstructionSet set : instruction_sets()) {
      const Results got = compute<bf16>(p, in, set);
      // Delta is that of the rounded o, as backward finds it.
      const OwnedTensor stored_o(DType::F32, got.o->shape()), delta(DType::F32, got.delta->shape());
      copy(stored_o, got.o, {});
      attention_delta(delta.view(), wide.d_o.view(), stored_o.view(), {});
      CHECK(relative_error(values_of(got.delta), values_of(delta)) < 1e-6);
      const Results exact = compute<float>(p, wide, set, &got.delta);
      for (std::size_t r = 0; r < 6; ++r) {
        CAPTURE(kNames[r]);
        const OwnedTensor &x = *got.all()[r], expected(x->dtype(), x->shape());
        copy(expected, *exact.all()[r], {});
        // Bits: the operations are the same ones, in the same order.
        CHECK(std::memcmp(x->data(), expected->data(), static_cast<std::size_t>(x->bytes())) == 0);
      }
    }
  }
}

namespace {

void check_central_differences(std::vector<AttentionSpan> spans) {
  const Problem p = {.spans = std::move(spans), .heads = 3, .kv_heads = 2, .width = 4, .map = {1, 2, 0}};
  const Inputs in(DType::F64, p);
  Arena scratch("test");
  Results forward(DType::F64, p);
  // <d_o, o>: its derivatives are what backward returns.
  double magnitude = 0;  // of its terms together
  const auto loss = [&] {
    attention(forward.o.view(), forward.lse.view(), in.q.view(), in.k.view(), in.v.view(), p.attention(),
              scratch, {});
    double sum = 0;
    magnitude = 0;
    for (i64 i = 0; i < forward.o->elements(); ++i) {
      const double term = forward.o->host<double>()[i] * in.d_o->host<double>()[i];
      sum += term;
      magnitude += std::abs(term);
    }
    return sum;
  };
  loss();
  attention_delta(forward.delta.view(), in.d_o.view(), forward.o.view(), {});
  attention_backward(forward.dq.view(), forward.dk.view(), forward.dv.view(), in.d_o.view(),
                     forward.delta.view(), forward.lse.view(), in.q.view(), in.k.view(), in.v.view(),
                     p.attention(), scratch, {});
  // A difference of two losses is off by their rounding, a few units of the terms each, over the step; and by
  // step^2 / 6 = 2e-11 times third derivatives, which scores of order one keep below 100.
  const double step = 1e-5;
  const double vanishing = 4 * std::numeric_limits<double>::epsilon() * magnitude / step + 2e-9;
  const auto compare = [&](const OwnedTensor& x, const OwnedTensor& gradient) {
    for (i64 i = 0; i < x->elements(); ++i) {
      double& value = x->host<double>()[i];
      const double before = value;
      value = before + step;
      const double high = loss();
      value = before - step;
      const double low = loss();
      value = before;
      const double difference = (high - low) / (2 * step);
      CHECK(std::abs(gradient->host<double>()[i] - difference) <= 1e-8 * std::abs(difference) + vanishing);
    }
  };
  compare(in.q, forward.dq);
  compare(in.k, forward.dk);
  compare(in.v, forward.dv);
}

}  // namespace

TEST_CASE("gradients agree with central differences of the forward pass") {
  check_central_differences(diagonals({{5, 5, 0}, {3, 6, 2}, {4, 3, -1}}));
}

TEST_CASE("gradients with windows and prefixes agree with central differences") {
  for (const i64 window : {0, 1, 2, 4, 9}) {
    for (const i64 prefix : {0, 1, 3, 9}) {
      CAPTURE(window);
      CAPTURE(prefix);
      check_central_differences(masked(diagonals({{5, 5, 0}, {3, 6, 2}, {4, 3, -1}}), window, prefix));
    }
  }
}

TEST_CASE("scores of ten thousand neither overflow nor lose more than their own rounding") {
  // Products of normal numbers, D = 64, scale 1/8: scores of about magnitude^2.
  const Problem p = {
      .spans = packed({130, 20}, true), .heads = 2, .kv_heads = 2, .width = 64, .magnitude = 100};
  const Inputs in32(DType::F32, p), in64(DType::F64, p);
  const Reference f32(p, in64, std::numeric_limits<float>::epsilon() / 2);
  // Twice the unit: the reference is computed in f64 too.
  const Reference f64(p, in64, std::numeric_limits<double>::epsilon());
  double top = 0;
  for (i64 i = 0; i < f64.value.lse->elements(); ++i)
    top = std::max(top, std::abs(f64.value.lse->host<double>()[i]));
  CHECK(top > 1e4);
  for (const host::InstructionSet set : instruction_sets()) {
    check_within_bounds<float>(compute<float>(p, in32, set), f32);
    check_within_bounds<double>(compute<double>(p, in64, set), f64);
  }
}

TEST_CASE_TEMPLATE("attention has the same bits for one, two and three threads", T, float, bf16) {
  const Problem shapes[] = {
      {.spans = packed({500, 1, 130}, true), .heads = 5, .kv_heads = 3, .width = 32, .map = {2, 3, 0}},
      {.spans = packed({400}, false),
       .heads = 1,
       .kv_heads = 1,
       .width = 16},  // one head: units wait for each other
      {.spans = masked(packed({1000, 65}, true), 150, 210), .heads = 1, .kv_heads = 1, .width = 16},
      {.spans = packed({65, 65, 65, 65, 64, 64, 17, 1, 65}, false), .heads = 3, .kv_heads = 3, .width = 64},
  };
  const int threads_before = omp_get_max_threads();
  for (const Problem& p : shapes) {
    const Inputs in(dtype_of<T>(), p);
    omp_set_num_threads(1);
    const Results one = compute<T>(p, in, instruction_sets().back());
    for (const int threads : {2, 3, 3}) {
      omp_set_num_threads(threads);
      const Results many = compute<T>(p, in, instruction_sets().back());
      for (std::size_t r = 0; r < 6; ++r) {
        CAPTURE(kNames[r]);
        CHECK(std::memcmp((*one.all()[r])->data(), (*many.all()[r])->data(),
                          static_cast<std::size_t>((*one.all()[r])->bytes())) == 0);
      }
    }
  }
  omp_set_num_threads(threads_before);
}

TEST_CASE("column ranges of wider buffers give the same results and leave their neighbours alone") {
  const Problem p = {
      .spans = packed({70, 131}, true), .heads = 4, .kv_heads = 2, .width = 20, .map = {0, 2, 0}};
  const i64 rows = p.q_rows(), q_cols = p.heads * p.width, kv_cols = p.kv_heads * p.width;
  const i64 cols = q_cols + 2 * kv_cols + 3;  // q | k | v | 3 more
  const Inputs in(DType::F32, p);
  const float guard = 12345;
  // Guard rows above and below, guard columns at the right.
  const auto buffer = [&](i64 width) {
    OwnedTensor x(DType::F32, {rows + 2, width});
    std::fill_n(x->host<float>(), x->elements(), guard);
    return x;
  };
  const auto part = [&](const OwnedTensor& x, i64 first, i64 heads) {
    return Heads(Matrix(x.view()).row_range(1, rows).columns(first, heads * p.width), heads, p.width);
  };
  const auto assign = [](const Heads& to, const OwnedTensor& from) {
    for (i64 t = 0; t < to.rows(); ++t) {
      std::copy_n(from->host<float>() + t * to.matrix.cols, to.matrix.cols,
                  to.matrix.host<float>() + t * to.matrix.stride);
    }
  };
  const OwnedTensor qkv = buffer(cols), d_qkv = buffer(cols), o = buffer(q_cols + 5),
                    d_o = buffer(q_cols + 1);
  const OwnedTensor lse = buffer(p.heads + 2), delta = buffer(p.heads + 1);
  const auto q = part(qkv, 0, p.heads), k = part(qkv, q_cols, p.kv_heads),
             v = part(qkv, q_cols + kv_cols, p.kv_heads);
  const auto dq = part(d_qkv, 0, p.heads), dk = part(d_qkv, q_cols, p.kv_heads);
  const auto dv = part(d_qkv, q_cols + kv_cols, p.kv_heads), out = part(o, 0, p.heads),
             d_out = part(d_o, 0, p.heads);
  const Matrix lse_rows = Matrix(lse.view()).row_range(1, rows).columns(0, p.heads);
  const Matrix delta_rows = Matrix(delta.view()).row_range(1, rows).columns(0, p.heads);
  assign(q, in.q);
  assign(k, in.k);
  assign(v, in.v);
  assign(d_out, in.d_o);

  Arena scratch("test");
  attention(out, lse_rows, q, k, v, p.attention(), scratch, {});
  attention_delta(delta_rows, d_out, out, {});
  attention_backward(dq, dk, dv, d_out, delta_rows, lse_rows, q, k, v, p.attention(), scratch, {});

  const Results expected = compute<float>(p, in, instruction_sets().back());
  const auto same = [&](const Matrix& x, const OwnedTensor& y) {
    i64 different = 0;
    for (i64 t = 0; t < rows; ++t) {
      for (i64 c = 0; c < x.cols; ++c)
        different += x.host<float>()[t * x.stride + c] != y->host<float>()[t * x.cols + c];
    }
    CHECK(different == 0);
  };
  same(out.matrix, expected.o);
  same(lse_rows, expected.lse);
  same(delta_rows, expected.delta);
  same(dq.matrix, expected.dq);
  same(dk.matrix, expected.dk);
  same(dv.matrix, expected.dv);
  const auto untouched = [&](const OwnedTensor& x, i64 used) {
    i64 touched = 0;
    for (i64 t = 0; t < x->extent(0); ++t) {
      const bool guard_row = t == 0 || t == rows + 1;
      for (i64 c = guard_row ? 0 : used; c < x->extent(1); ++c)
        touched += x->host<float>()[t * x->extent(1) + c] != guard;
    }
    CHECK(touched == 0);
  };
  untouched(d_qkv, cols - 3);
  untouched(o, q_cols);
  untouched(lse, p.heads);
  untouched(delta, p.heads);
}

TEST_CASE("a score that is not finite shows in the result") {
  const Problem p = {.spans = packed({40}, false), .heads = 1, .kv_heads = 1, .width = 16};
  const Inputs in(DType::F32, p);
  // The second NaN has all bits set, as fresh memory of a debug build.
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::bit_cast<float>(~0U),
                          std::numeric_limits<float>::infinity()}) {
    in.q->host<float>()[3 * 16] = bad;
    const Results out = compute<float>(p, in, instruction_sets().back());
    CHECK(!std::isfinite(out.o->host<float>()[3 * 16]));
    CHECK(std::isfinite(out.o->host<float>()[4 * 16]));
    CHECK(!std::isfinite(out.dk->host<float>()[0]));
  }
}

TEST_CASE("a NaN in bf16 shows in the result") {
  const Problem p = {.spans = packed({40}, false), .heads = 1, .kv_heads = 1, .width = 16};
  const Inputs in(DType::BF16, p);
  in.q->host<bf16>()[3 * 16] = bf16::of_bits(0xFFFF);  // as fresh memory of a debug build
  const Results out = compute<bf16>(p, in, instruction_sets().back());
  CHECK(std::isnan(float(out.o->host<bf16>()[3 * 16])));
  CHECK(std::isfinite(float(out.o->host<bf16>()[4 * 16])));
  CHECK(std::isnan(float(out.dk->host<bf16>()[0])));
}

TEST_CASE("no heads and no rows are no work") {
  for (const Problem& p : {Problem{.spans = packed({5}, true), .heads = 0, .kv_heads = 1},
                           Problem{.spans = packed({5}, true), .heads = 0, .kv_heads = 0},
                           Problem{.spans = {}, .heads = 2, .kv_heads = 2},
                           Problem{.spans = packed({0, 0}, true), .heads = 2, .kv_heads = 2}}) {
    const Inputs in(DType::F32, p);
    const Results out = compute<float>(p, in, instruction_sets().back());
    // The KV head that no query head uses has no gradient.
    for (i64 i = 0; i < out.dk->elements(); ++i) CHECK(out.dk->host<float>()[i] == 0);
    for (i64 i = 0; i < out.dv->elements(); ++i) CHECK(out.dv->host<float>()[i] == 0);
  }
}

TEST_CASE("spans that leave rows out, and heads without a KV head, are refused") {
  const auto run = [](const Problem& p, i64 rows) {
    const Problem shape = {.spans = packed({rows}, true), .heads = p.heads, .kv_heads = p.kv_heads};
    const Inputs in(DType::F32, shape);
    const Results out(DType::F32, shape);
    Arena scratch("test");
    attention(out.o.view(), out.lse.view(), in.q.view(), in.k.view(), in.v.view(), p.attention(), scratch,
              {});
  };
  CHECK_NOTHROW(run({.spans = packed({3, 4}, true)}, 7));
  CHECK_THROWS_WITH_AS(run({.spans = packed({3, 3}, true)}, 7), doctest::Contains("6 of 7 query rows"),
                       Error);
  CHECK_THROWS_AS(run({.spans = {{1, 6, 1, 6, 0, true}}}, 7), Error);
  CHECK_THROWS_AS(run({.spans = {{0, 4, 0, 7, 0, true}, {3, 3, 7, 0, 0, true}}}, 7), Error);
  for (const auto& [window, prefix, causal] :
       {std::tuple{1, 0, false}, std::tuple{0, 1, false}, std::tuple{-1, 0, true}, std::tuple{0, -1, true}}) {
    CHECK_THROWS_WITH_AS(run({.spans = masked(packed({7}, causal), window, prefix)}, 7),
                         doctest::Contains("with a window of"), Error);
  }
  CHECK_THROWS_WITH_AS(run({.spans = packed({7}, true), .heads = 3, .kv_heads = 1, .map = {0, 2, 0}}, 7),
                       doctest::Contains("use KV heads 0 to 1 of 1"), Error);
}
