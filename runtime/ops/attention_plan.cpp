#include "runtime/ops/attention_plan.h"

namespace longsight::ops {

namespace {

void check_spans(std::span<const AttentionSpan> spans, i64 q_rows, i64 k_rows) {
  i64 q_end = 0, k_end = 0;
  for (std::size_t s = 0; s < spans.size(); ++s) {
    const AttentionSpan& span = spans[s];
    check(span.q_rows >= 0 && span.k_rows >= 0, "attention span {}: {} query rows, {} key rows", s,
          span.q_rows, span.k_rows);
    check(span.window >= 0 && span.prefix >= 0 && (span.causal || (span.window == 0 && span.prefix == 0)),
          "attention span {}: {} with a window of {} and a prefix of {}", s,
          span.causal ? "causal" : "not causal", span.window, span.prefix);
    check(span.q_begin == q_end && span.k_begin == k_end,
          "attention span {} begins at query row {} and key row {}, the one before ends at {} and {}", s,
          span.q_begin, span.k_begin, q_end, k_end);
    q_end += span.q_rows;
    k_end += span.k_rows;
  }
  check(q_end == q_rows && k_end == k_rows, "attention spans hold {} of {} query rows and {} of {} key rows",
        q_end, q_rows, k_end, k_rows);
}

}  // namespace

void check_like(const Heads& x, const Heads& like, const char* name) {
  check(x.rows() == like.rows() && x.heads == like.heads && x.width == like.width &&
            x.matrix.dtype == like.matrix.dtype,
        "attention: {} is {} [{}, {}, {}], expected {} [{}, {}, {}]", name, name_of(x.matrix.dtype), x.rows(),
        x.heads, x.width, name_of(like.matrix.dtype), like.rows(), like.heads, like.width);
}

void check_per_head(const Matrix& x, const Heads& like, const char* name) {
  check(x.rows == like.rows() && x.cols == like.heads && x.dtype == like.matrix.dtype,
        "attention: {} is {} [{}, {}], expected {} [{}, {}]", name, name_of(x.dtype), x.rows, x.cols,
        name_of(like.matrix.dtype), like.rows(), like.heads);
}

void check_attention(const Heads& q, const Heads& k, const Heads& v, const AttentionProblem& problem) {
  check_like(v, k, "v");
  check(q.width == k.width && q.width > 0 && q.matrix.dtype == k.matrix.dtype,
        "attention: q is {} with heads of {}, k is {} with heads of {}", name_of(q.matrix.dtype), q.width,
        name_of(k.matrix.dtype), k.width);
  const HeadMap& map = problem.heads;
  check(map.group >= 1 && map.first_q >= 0, "attention: head map with group {} from head {}", map.group,
        map.first_q);
  if (q.heads > 0) {
    check(map.kv_of(0) >= 0 && map.kv_of(q.heads - 1) < k.heads,
          "attention: {} query heads use KV heads {} to {} of {}", q.heads, map.kv_of(0),
          map.kv_of(q.heads - 1), k.heads);
  }
  check_spans(problem.spans, q.rows(), k.rows());
}

i64 tile_limit(std::span<const AttentionSpan> spans, i64 AttentionSpan::*rows, i64 heads, i64 most) {
  constexpr i64 kEnough = 16;
  i64 tiles = 0;
  for (const AttentionSpan& span : spans) tiles += ceil_div(span.*rows, most);
  return tiles * heads < kEnough ? most / 2 : most;
}

}  // namespace longsight::ops
