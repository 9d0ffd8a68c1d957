// Attention by its definition, row by row, with bounds of what rounding may change; and what the tests of
// attention make their problems of.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/base/philox.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/host/attention_plan.h"

namespace longsight::ops {

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
inline std::vector<AttentionSpan> packed(std::initializer_list<i64> lengths, bool causal) {
  std::vector<AttentionSpan> spans;
  i64 begin = 0;
  for (const i64 n : lengths) {
    spans.push_back({begin, n, begin, n, 0, causal});
    begin += n;
  }
  return spans;
}

// Spans of {query rows, key rows, diagonal}, causal.
inline std::vector<AttentionSpan> diagonals(std::initializer_list<std::array<i64, 3>> shapes) {
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
inline std::vector<AttentionSpan> masked(std::vector<AttentionSpan> spans, i64 window, i64 prefix) {
  for (AttentionSpan& span : spans) {
    span.window = window;
    span.prefix = prefix;
  }
  return spans;
}

inline bool sees(const AttentionSpan& span, i64 i, i64 j) {
  const i64 distance = i + span.diagonal - j;
  return !span.causal || j < span.prefix || (distance >= 0 && (span.window == 0 || distance < span.window));
}

inline OwnedTensor random_heads(DType dtype, i64 rows, i64 heads, i64 width, const char* name,
                                double magnitude = 1) {
  OwnedTensor x(dtype, {rows, heads, width});
  const Philox random(7, name);
  dispatch(dtype, [&](auto zero) {
    using T = decltype(zero);
    // Rounded to f32, so that the f32 and the f64 problem are the same.
    for (i64 i = 0; i < x->elements(); ++i) {
      x->host<T>()[i] = static_cast<float>(magnitude * random.normal(static_cast<u64>(i)));
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
        lse(statistics_of(dtype), {p.q_rows(), p.heads}),
        delta(statistics_of(dtype), {p.q_rows(), p.heads}),
        dq(dtype, {p.q_rows(), p.heads, p.width}),
        dk(dtype, {p.k_rows(), p.kv_heads, p.width}),
        dv(dtype, {p.k_rows(), p.kv_heads, p.width}) {
    // What is overwritten may hold anything before.
    for (OwnedTensor* x : {&o, &lse, &delta, &dq, &dk, &dv})
      std::memset((*x)->data(), 0xFF, static_cast<std::size_t>((*x)->bytes()));
  }
  std::vector<const OwnedTensor*> all() const { return {&o, &lse, &delta, &dq, &dk, &dv}; }
  OwnedTensor o, lse, delta, dq, dk, dv;
};

// Forward and backward through the kernels of one instruction set; backward with `delta` where it is given.
template <class T>
Results compute(const Problem& p, const Inputs& in, host::InstructionSet set,
                const OwnedTensor* delta = nullptr) {
  Results out(dtype_of<T>(), p);
  Arena scratch("test");
  const host::TileKernels<T>& kernels = host::tile_kernels<T>(set);
  {
    const ArenaScope scope(scratch);
    host::run_forward<T>(kernels, out.o.view(), out.lse.view(), in.q.view(), in.k.view(), in.v.view(),
                         p.attention(),
                         host::forward_scratch<T>(kernels, in.q.view(), p.attention(), scratch));
  }
  if (delta != nullptr) {
    copy(out.delta, *delta, {});
  } else {
    attention_delta(out.delta.view(), in.d_o.view(), out.o.view(), {});
  }
  const ArenaScope scope(scratch);
  auto memory = host::backward_scratch<T>(kernels, in.q.view(), p.attention(), scratch);
  memory.dq_sums = host::dq_sums<T>(out.dq.view(), scratch);
  host::run_backward<T>(kernels, out.dq.view(), out.dk.view(), out.dv.view(), in.d_o.view(), out.delta.view(),
                        out.lse.view(), in.q.view(), in.k.view(), in.v.view(), p.attention(), memory);
  return out;
}

inline std::vector<host::InstructionSet> instruction_sets() {
  std::vector<host::InstructionSet> sets;
  for (const host::InstructionSet set : {host::InstructionSet::avx2, host::InstructionSet::avx512}) {
    if (host::supported(set)) sets.push_back(set);
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
      return x->host<double>() + (row_of * x->extent(1) + head) * width;
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
    value.lse->host<double>()[t * p.heads + h] = lse;
    if (keys == 0) return;
    const double d = static_cast<double>(width), n = static_cast<double>(keys);
    const double score_error = eps * ((d + 4) * size + 3 * std::abs(lse) + 2);
    const double p_error = 2 * score_error + eps * n;
    bound.lse->host<double>()[t * p.heads + h] = p_error + eps * std::abs(lse);

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
    value.delta->host<double>()[t * p.heads + h] = delta;
    bound.delta->host<double>()[t * p.heads + h] = delta_bound;

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

inline const char* const kNames[] = {"o", "lse", "delta", "dq", "dk", "dv"};

template <class T>
void check_within_bounds(const Results& out, const Reference& reference) {
  for (std::size_t r = 0; r < 6; ++r) {
    CAPTURE(kNames[r]);
    const T* x = (*out.all()[r])->template host<T>();
    // Probabilities that are almost denormal are taken as zero; they meet factors of at most a few thousand
    // here.
    const double dropped = 1e5 * static_cast<double>(std::numeric_limits<T>::min());
    const OwnedTensor &value = *reference.value.all()[r], &bound = *reference.bound.all()[r];
    i64 wrong = 0;
    double worst = 0;  // in units of the bound
    for (i64 i = 0; i < value->elements(); ++i) {
      const double expected = value->host<double>()[i], allowed = bound->host<double>()[i];
      if (static_cast<double>(x[i]) == expected) continue;
      const double error = std::abs(static_cast<double>(x[i]) - expected);
      if (!(error <= allowed + dropped)) ++wrong;
      if (allowed > 0) worst = std::max(worst, error / allowed);
    }
    CAPTURE(worst);
    CHECK(wrong == 0);
  }
}

}  // namespace longsight::ops
