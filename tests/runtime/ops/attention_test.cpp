#include "runtime/ops/attention.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include "runtime/base/philox.h"
#include "runtime/ops/attention_plan.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

struct Problem {
  std::vector<AttentionSpan> spans;
  i64 heads = 1, kv_heads = 1, width = 16;
  HeadMap map = {};
  double magnitude = 1;  // of q and k

  i64 q_rows() const { return spans.empty() ? 0 : spans.back().q_begin + spans.back().q_rows; }
  i64 k_rows() const { return spans.empty() ? 0 : spans.back().k_begin + spans.back().k_rows; }
  AttentionProblem attention() const { return {spans, map, 1 / std::sqrt(static_cast<double>(width))}; }
};

// Sequences that are wholly here, one behind the other.
std::vector<AttentionSpan> packed(std::initializer_list<i64> lengths, bool causal) {
  std::vector<AttentionSpan> spans;
  i64 begin = 0;
  for (const i64 n : lengths) {
    spans.push_back({begin, n, begin, n, 0, causal});
    begin += n;
  }
  return spans;
}

// Spans of {query rows, key rows, diagonal}, causal.
std::vector<AttentionSpan> diagonals(std::initializer_list<std::array<i64, 3>> shapes) {
  std::vector<AttentionSpan> spans;
  i64 q = 0, k = 0;
  for (const auto& [q_rows, k_rows, diagonal] : shapes) {
    spans.push_back({q, q_rows, k, k_rows, diagonal, true});
    q += q_rows;
    k += k_rows;
  }
  return spans;
}

// The same spans with a window and a prefix, each.
std::vector<AttentionSpan> masked(std::vector<AttentionSpan> spans, i64 window, i64 prefix) {
  for (AttentionSpan& span : spans) {
    span.window = window;
    span.prefix = prefix;
  }
  return spans;
}

bool sees(const AttentionSpan& span, i64 i, i64 j) {
  const i64 distance = i + span.diagonal - j;
  return !span.causal || j < span.prefix || (distance >= 0 && (span.window == 0 || distance < span.window));
}

OwnedTensor random_heads(DType dtype, i64 rows, i64 heads, i64 width, const char* name,
                         double magnitude = 1) {
  OwnedTensor x(dtype, {rows, heads, width});
  const Philox random(7, name);
  dispatch(dtype, [&](auto zero) {
    using T = decltype(zero);
    // Rounded to f32, so that the f32 and the f64 problem are the same.
    for (i64 i = 0; i < x->elements(); ++i) {
      x->as<T>()[i] = static_cast<float>(magnitude * random.normal(static_cast<u64>(i)));
    }
  });
  return x;
}

struct Inputs {
  Inputs(DType dtype, const Problem& p)
      : q(random_heads(dtype, p.q_rows(), p.heads, p.width, "q", p.magnitude)),
        k(random_heads(dtype, p.k_rows(), p.kv_heads, p.width, "k", p.magnitude)),
        v(random_heads(dtype, p.k_rows(), p.kv_heads, p.width, "v")),
        d_o(random_heads(dtype, p.q_rows(), p.heads, p.width, "d_o")) {}
  OwnedTensor q, k, v, d_o;
};

struct Results {
  Results(DType dtype, const Problem& p)
      : o(dtype, {p.q_rows(), p.heads, p.width}),
        lse(dtype, {p.q_rows(), p.heads}),
        delta(dtype, {p.q_rows(), p.heads}),
        dq(dtype, {p.q_rows(), p.heads, p.width}),
        dk(dtype, {p.k_rows(), p.kv_heads, p.width}),
        dv(dtype, {p.k_rows(), p.kv_heads, p.width}) {
    // What is overwritten may hold anything before.
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      for (OwnedTensor* x : {&o, &lse, &delta, &dq, &dk, &dv}) {
        std::fill_n((*x)->as<T>(), (*x)->elements(), std::numeric_limits<T>::quiet_NaN());
      }
    });
  }
  std::vector<const OwnedTensor*> all() const { return {&o, &lse, &delta, &dq, &dk, &dv}; }
  OwnedTensor o, lse, delta, dq, dk, dv;
};

// Forward and backward through the kernels of one instruction set.
template <class T>
Results compute(const Problem& p, const Inputs& in, InstructionSet set) {
  Results out(dtype_of<T>(), p);
  Arena scratch("test");
  const TileKernels<T>& kernels = tile_kernels<T>(set);
  run_forward<T>(kernels, out.o.view(), out.lse.view(), in.q.view(), in.k.view(), in.v.view(), p.attention(),
                 scratch);
  attention_delta(out.delta.view(), in.d_o.view(), out.o.view(), {});
  run_backward<T>(kernels, out.dq.view(), out.dk.view(), out.dv.view(), in.d_o.view(), out.delta.view(),
                  out.lse.view(), in.q.view(), in.k.view(), in.v.view(), p.attention(), scratch);
  CHECK(scratch.used() == 0);
  return out;
}

std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : {InstructionSet::avx2, InstructionSet::avx512}) {
    if (supported(set)) sets.push_back(set);
  }
  return sets;
}

// The definition, row by row in f64, with bounds of what rounding to a unit `eps` may change, to first order
// in eps:
//  - a score is a product of D terms, scaled, and its exponent is taken in base 2: its error is at most
//    eps (D + 4) scale sum |q| |k|; lse is computed, stored and brought to base 2, each within eps |lse|; the
//    exponential adds 2 eps; so a probability has the relative error `p_error` below, where normalising
//    doubles it;
//  - a sum of n terms has the relative error n eps of the sum of their sizes.
struct Reference {
  Reference(const Problem& p, const Inputs& in, double eps) : value(DType::F64, p), bound(DType::F64, p) {
    for (const Results* x : {&value, &bound}) {
      for (const OwnedTensor* t : x->all()) fill_zero(*t, {});
    }
    for (const AttentionSpan& span : p.spans) {
      for (i64 h = 0; h < p.heads; ++h) {
        for (i64 i = 0; i < span.q_rows; ++i) row(p, in, span, h, i, eps);
      }
    }
  }
  Results value, bound;

 private:
  void row(const Problem& p, const Inputs& in, const AttentionSpan& span, i64 h, i64 i, double eps) {
    const i64 width = p.width, kv = p.map.kv_of(h), t = span.q_begin + i;
    const double scale = p.attention().scale;
    const auto at = [&](const OwnedTensor& x, i64 row_of, i64 head) {
      return x->as<double>() + (row_of * x->extent(1) + head) * width;
    };
    const double *q = at(in.q, t, h), *d_o = at(in.d_o, t, h);
    std::vector<i64> seen;  // keys
    std::vector<double> score;
    double top = -std::numeric_limits<double>::infinity(), size = 0;
    for (i64 j = 0; j < span.k_rows; ++j) {
      if (!sees(span, i, j)) continue;
      seen.push_back(j);
      const double* k = at(in.k, span.k_begin + j, kv);
      double s = 0, absolute = 0;
      for (i64 c = 0; c < width; ++c) {
        s += q[c] * k[c];
        absolute += std::abs(q[c] * k[c]);
      }
      score.push_back(s * scale);
      top = std::max(top, s * scale);
      size = std::max(size, absolute * scale);
    }
    const std::size_t keys = seen.size();
    double sum = 0;
    for (const double s : score) sum += std::exp(s - top);
    const double lse = top + std::log(sum);
    value.lse->as<double>()[t * p.heads + h] = lse;
    if (keys == 0) return;
    const double d = static_cast<double>(width), n = static_cast<double>(keys);
    const double score_error = eps * ((d + 4) * size + 3 * std::abs(lse) + 2);
    const double p_error = 2 * score_error + eps * n;
    bound.lse->as<double>()[t * p.heads + h] = p_error + eps * std::abs(lse);

    double *o = at(value.o, t, h), *o_bound = at(bound.o, t, h);
    for (std::size_t j = 0; j < keys; ++j) {
      const double probability = std::exp(score[j] - lse);
      const double* v = at(in.v, span.k_begin + seen[j], kv);
      for (i64 c = 0; c < width; ++c) {
        o[c] += probability * v[c];
        o_bound[c] += (2 * p_error + eps * (n + 2)) * probability * std::abs(v[c]);
      }
    }
    double delta = 0, delta_size = 0, delta_bound = 0;
    for (i64 c = 0; c < width; ++c) {
      delta += d_o[c] * o[c];
      delta_size += std::abs(d_o[c] * o[c]);
      delta_bound += std::abs(d_o[c]) * o_bound[c];
    }
    delta_bound += eps * d * delta_size;
    value.delta->as<double>()[t * p.heads + h] = delta;
    bound.delta->as<double>()[t * p.heads + h] = delta_bound;

    // dk and dv of a key are sums over at most all queries of all heads of the group.
    const double terms = static_cast<double>(span.q_rows * p.map.group);
    double *dq = at(value.dq, t, h), *dq_bound = at(bound.dq, t, h);
    for (std::size_t j = 0; j < keys; ++j) {
      const i64 key = span.k_begin + seen[j];
      const double *k = at(in.k, key, kv), *v = at(in.v, key, kv);
      double d_p = 0, d_p_size = 0;
      for (i64 c = 0; c < width; ++c) {
        d_p += d_o[c] * v[c];
        d_p_size += std::abs(d_o[c] * v[c]);
      }
      const double probability = std::exp(score[j] - lse);
      const double d_s = probability * (d_p - delta);
      const double d_s_size = probability * (d_p_size + std::abs(delta));
      const double d_s_bound = p_error * d_s_size + probability * (eps * (d + 2) * d_p_size + delta_bound);
      double *dk = at(value.dk, key, kv), *dk_bound = at(bound.dk, key, kv);
      double *dv = at(value.dv, key, kv), *dv_bound = at(bound.dv, key, kv);
      for (i64 c = 0; c < width; ++c) {
        dq[c] += scale * d_s * k[c];
        dq_bound[c] += scale * (d_s_bound + eps * (n + 3) * d_s_size) * std::abs(k[c]);
        dk[c] += scale * d_s * q[c];
        dk_bound[c] += scale * (d_s_bound + eps * (terms + 3) * d_s_size) * std::abs(q[c]);
        dv[c] += probability * d_o[c];
        dv_bound[c] += (p_error + eps * (terms + 2)) * probability * std::abs(d_o[c]);
      }
    }
  }
};

const std::string kNames[] = {"o", "lse", "delta", "dq", "dk", "dv"};

template <class T>
void check_within_bounds(const Results& out, const Reference& reference) {
  for (std::size_t r = 0; r < 6; ++r) {
    CAPTURE(kNames[r]);
    const T* x = (*out.all()[r])->template as<T>();
    // Probabilities that are almost denormal are taken as zero; they meet factors of at most a few thousand
    // here.
    const double dropped = 1e5 * static_cast<double>(std::numeric_limits<T>::min());
    const OwnedTensor &value = *reference.value.all()[r], &bound = *reference.bound.all()[r];
    i64 wrong = 0;
    double worst = 0;  // in units of the bound
    for (i64 i = 0; i < value->elements(); ++i) {
      const double expected = value->as<double>()[i], allowed = bound->as<double>()[i];
      if (static_cast<double>(x[i]) == expected) continue;
      const double error = std::abs(static_cast<double>(x[i]) - expected);
      if (!(error <= allowed + dropped)) ++wrong;
      if (allowed > 0) worst = std::max(worst, error / allowed);
    }
    CAPTURE(worst);
    CHECK(wrong == 0);
  }
}

// Relative to the largest value; gradients that vanish (a query that sees one key) are measured against the
// inputs, which are of order one.
double relative_error(const OwnedTensor& x, const OwnedTensor& expected) {
  double error = 0, size = 1;
  for (i64 i = 0; i < expected->elements(); ++i) {
    const double a = x->as<double>()[i], b = expected->as<double>()[i];
    if (a == b) continue;
    if (!std::isfinite(a - b)) return std::numeric_limits<double>::infinity();
    error = std::max(error, std::abs(a - b));
    size = std::max(size, std::abs(b));
  }
  return error / size;
}

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
    "attention in f64 equals the definition to 1e-12, forward and all gradients, on each instruction set") {
  for (const Problem& p : problems()) {
    CAPTURE(p.width);
    CAPTURE(p.heads);
    const Inputs in(DType::F64, p);
    const Reference reference(p, in, 0);
    for (const InstructionSet set : instruction_sets()) {
      const Results out = compute<double>(p, in, set);
      for (std::size_t r = 0; r < 6; ++r) {
        CAPTURE(kNames[r]);
        CHECK(relative_error(*out.all()[r], *reference.value.all()[r]) < 1e-12);
      }
    }
  }
}

TEST_CASE("attention in f32 is within the rounding of its operations") {
  for (const Problem& p : problems()) {
    CAPTURE(p.width);
    CAPTURE(p.heads);
    const Reference reference(p, Inputs(DType::F64, p), std::numeric_limits<float>::epsilon() / 2);
    const Inputs in(DType::F32, p);
    for (const InstructionSet set : instruction_sets())
      check_within_bounds<float>(compute<float>(p, in, set), reference);
  }
}

namespace {

void check_central_differences(std::vector<AttentionSpan> spans) {
  const Problem p = {.spans = std::move(spans), .heads = 3, .kv_heads = 2, .width = 4, .map = {1, 2, 0}};
  const Inputs in(DType::F64, p);
  Arena scratch("test");
  Results forward(DType::F64, p);
  // <d_o, o>: its derivatives are what backward returns.
  const auto loss = [&] {
    attention(forward.o.view(), forward.lse.view(), in.q.view(), in.k.view(), in.v.view(), p.attention(),
              scratch, {});
    double sum = 0;
    for (i64 i = 0; i < forward.o->elements(); ++i)
      sum += forward.o->as<double>()[i] * in.d_o->as<double>()[i];
    return sum;
  };
  loss();
  attention_delta(forward.delta.view(), in.d_o.view(), forward.o.view(), {});
  attention_backward(forward.dq.view(), forward.dk.view(), forward.dv.view(), in.d_o.view(),
                     forward.delta.view(), forward.lse.view(), in.q.view(), in.k.view(), in.v.view(),
                     p.attention(), scratch, {});
  const double step =
      1e-5;  // truncation ~ step^2 = 1e-10 times third derivatives of order one, rounding ~ 1e-15 / step
  const auto compare = [&](const OwnedTensor& x, const OwnedTensor& gradient) {
    for (i64 i = 0; i < x->elements(); ++i) {
      double& value = x->as<double>()[i];
      const double before = value;
      value = before + step;
      const double high = loss();
      value = before - step;
      const double low = loss();
      value = before;
      CHECK(gradient->as<double>()[i] == doctest::Approx((high - low) / (2 * step)).epsilon(1e-8).scale(10));
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
    top = std::max(top, std::abs(f64.value.lse->as<double>()[i]));
  CHECK(top > 1e4);
  for (const InstructionSet set : instruction_sets()) {
    check_within_bounds<float>(compute<float>(p, in32, set), f32);
    check_within_bounds<double>(compute<double>(p, in64, set), f64);
  }
}

TEST_CASE("a query that sees no key gets zero, minus infinity and no gradient") {
  const Problem p = {.spans = diagonals({{120, 120, -50}}), .heads = 2, .kv_heads = 2, .width = 16};
  const Inputs in(DType::F32, p);
  const Results out = compute<float>(p, in, instruction_sets().back());
  for (i64 t = 0; t < 120; ++t) {
    for (i64 h = 0; h < 2; ++h) {
      const bool blind = t < 50;
      CHECK((out.lse->as<float>()[t * 2 + h] == -std::numeric_limits<float>::infinity()) == blind);
      for (i64 c = 0; c < 16; ++c) {
        const i64 i = (t * 2 + h) * 16 + c;
        CHECK((out.o->as<float>()[i] == 0) == blind);
        // Query 50 sees one key: its probability is 1 whatever the score, its gradient zero up to rounding.
        if (t != 50) CHECK((out.dq->as<float>()[i] == 0) == blind);
        // Keys 70 and later are seen by nobody.
        CHECK((out.dv->as<float>()[i] == 0) == (t >= 70));
      }
    }
  }
}

TEST_CASE("a query whose window lies behind all keys sees the prefix alone, or nothing") {
  const AttentionSpan behind = {.q_begin = 0,
                                .q_rows = 5,
                                .k_begin = 0,
                                .k_rows = 30,
                                .diagonal = 40,
                                .causal = true,
                                .window = 12,
                                .prefix = 0};
  Problem p = {.spans = {behind}, .heads = 1, .kv_heads = 1, .width = 16};
  const Inputs in(DType::F64, p);
  for (const InstructionSet set : instruction_sets()) {
    p.spans[0].prefix = 0;
    // Query 0 is at key 40 and sees keys 29 to 40, so the last one; query 1 sees none.
    const Results blind = compute<double>(p, in, set);
    for (i64 t = 0; t < 5; ++t) CHECK(std::isfinite(blind.lse->as<double>()[t]) == (t == 0));
    for (i64 c = 0; c < 16; ++c) {
      CHECK(blind.o->as<double>()[c] == doctest::Approx(in.v->as<double>()[29 * 16 + c]).epsilon(1e-14));
      CHECK(blind.o->as<double>()[16 + c] == 0);
      CHECK(blind.dq->as<double>()[16 + c] == 0);
      CHECK(blind.dv->as<double>()[28 * 16 + c] == 0);
    }
    p.spans[0].prefix = 1;
    const Results prefix = compute<double>(p, in, set);
    for (i64 c = 0; c < 16; ++c) {
      CHECK(prefix.o->as<double>()[16 + c] == in.v->as<double>()[c]);
      CHECK(prefix.dv->as<double>()[28 * 16 + c] == 0);
      CHECK(prefix.dv->as<double>()[c] != 0);
    }
  }
}

TEST_CASE("tiles outside the window, above the diagonal and outside the prefix are not touched") {
  // Queries at keys 700 to 799 of 1,500; they see keys 660 to 799, and the first 20.
  for (const i64 prefix : {0, 20}) {
    CAPTURE(prefix);
    const Problem p = {.spans = masked(diagonals({{100, 1500, 700}}), 41, prefix),
                       .heads = 2,
                       .kv_heads = 1,
                       .width = 32,
                       .map = {0, 2, 0}};
    const Inputs in(DType::F32, p);
    for (i64 key = 0; key < 1500; ++key) {
      // Tiles of up to 192 keys may hold hidden ones beside those that are seen.
      const bool far = (key >= 192 && key < 660 - 192) || key >= 800 + 192;
      if (!far && (prefix > 0 || key >= 192)) continue;
      for (const OwnedTensor* x : {&in.k, &in.v})
        std::fill_n((*x)->as<float>() + key * p.width, p.width, std::numeric_limits<float>::quiet_NaN());
    }
    for (const InstructionSet set : instruction_sets()) {
      const Results out = compute<float>(p, in, set);
      for (const OwnedTensor* x : out.all()) {
        i64 wrong = 0;
        for (i64 i = 0; i < (*x)->elements(); ++i) wrong += !std::isfinite((*x)->as<float>()[i]);
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("attention has the same bits for one, two and three threads") {
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
    const Inputs in(DType::F32, p);
    omp_set_num_threads(1);
    const Results one = compute<float>(p, in, instruction_sets().back());
    for (const int threads : {2, 3, 3}) {
      omp_set_num_threads(threads);
      const Results many = compute<float>(p, in, instruction_sets().back());
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
    std::fill_n(x->as<float>(), x->elements(), guard);
    return x;
  };
  const auto part = [&](const OwnedTensor& x, i64 first, i64 heads) {
    return Heads(Matrix(x.view()).row_range(1, rows).columns(first, heads * p.width), heads, p.width);
  };
  const auto assign = [](const Heads& to, const OwnedTensor& from) {
    for (i64 t = 0; t < to.rows(); ++t) {
      std::copy_n(from->as<float>() + t * to.matrix.cols, to.matrix.cols,
                  to.matrix.as<float>() + t * to.matrix.stride);
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
        different += x.as<float>()[t * x.stride + c] != y->as<float>()[t * x.cols + c];
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
        touched += x->as<float>()[t * x->extent(1) + c] != guard;
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
    in.q->as<float>()[3 * 16] = bad;
    const Results out = compute<float>(p, in, instruction_sets().back());
    CHECK(!std::isfinite(out.o->as<float>()[3 * 16]));
    CHECK(std::isfinite(out.o->as<float>()[4 * 16]));
    CHECK(!std::isfinite(out.dk->as<float>()[0]));
  }
}

TEST_CASE("no heads and no rows are no work") {
  for (const Problem& p : {Problem{.spans = packed({5}, true), .heads = 0, .kv_heads = 1},
                           Problem{.spans = packed({5}, true), .heads = 0, .kv_heads = 0},
                           Problem{.spans = {}, .heads = 2, .kv_heads = 2},
                           Problem{.spans = packed({0, 0}, true), .heads = 2, .kv_heads = 2}}) {
    const Inputs in(DType::F32, p);
    const Results out = compute<float>(p, in, instruction_sets().back());
    // The KV head that no query head uses has no gradient.
    for (i64 i = 0; i < out.dk->elements(); ++i) CHECK(out.dk->as<float>()[i] == 0);
    for (i64 i = 0; i < out.dv->elements(); ++i) CHECK(out.dv->as<float>()[i] == 0);
  }
}

TEST_CASE("visible pairs are counted as the mask shows them") {
  i64 total = 0, wrong = 0;
  std::vector<AttentionSpan> spans;
  for (const i64 q_rows : {0, 1, 7}) {
    for (const i64 k_rows : {0, 1, 5, 12}) {
      for (i64 diagonal = -15; diagonal <= 15; ++diagonal) {
        for (const bool causal : {true, false}) {
          for (const i64 window : {0, 1, 2, 5, 13, 40}) {
            for (const i64 prefix : {0, 1, 4, 12, 30}) {
              if (!causal && (window > 0 || prefix > 0)) continue;
              const AttentionSpan span{0, q_rows, 0, k_rows, diagonal, causal, window, prefix};
              i64 pairs = 0;
              for (i64 i = 0; i < q_rows; ++i) {
                for (i64 j = 0; j < k_rows; ++j) pairs += sees(span, i, j);
              }
              if (visible_pairs({&span, 1}) != pairs) ++wrong;
              spans.push_back(span);
              total += pairs;
            }
          }
        }
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(visible_pairs(spans) == total);
  // As long as sequences get: no loop over rows.
  const AttentionSpan one = {0, i64{1} << 30, 0, i64{1} << 30, 0, true};
  CHECK(visible_pairs({&one, 1}) == (i64{1} << 29) * ((i64{1} << 30) + 1));
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
