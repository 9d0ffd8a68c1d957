// Exact attention over packed sequences, in tiles with an online softmax (Dao et al. 2022): nothing of size T
// x T; tiles above the causal diagonal, outside a window or outside a sequence are never touched. Grouped
// query heads (GQA).
#pragma once

#include <span>

#include "runtime/tensor/arena.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// Query rows [q_begin, q_begin + q_rows) see key rows [k_begin, k_begin + k_rows); causal: query i of the
// span sees its keys j with i + diagonal - window < j <= i + diagonal only, and all keys j < prefix. A
// sequence that is wholly here is {s, n, s, n, 0, true}.
struct AttentionSpan {
  i64 q_begin = 0;
  i64 q_rows = 0;
  i64 k_begin = 0;
  i64 k_rows = 0;
  i64 diagonal = 0;
  bool causal = true;
  i64 window = 0;  // causal only; 0: no limit
  i64 prefix = 0;  // causal only; keys of the span that all its queries see (may be more than there are)
};

// Query head h here is head first_q + h of the model and uses its KV head (first_q + h) / group, which is row
// (first_q + h) / group - first_kv of the k and v given: ranks may hold a range of heads that is no multiple
// of a group.
struct HeadMap {
  i64 first_q = 0;
  i64 group = 1;
  i64 first_kv = 0;
  i64 kv_of(i64 h) const { return (first_q + h) / group - first_kv; }
};

struct AttentionProblem {
  std::span<const AttentionSpan>
      spans;  // each query row in exactly one, each key row in exactly one; ascending
  HeadMap heads;
  double scale = 1;  // of the scores, before the softmax
};

// q, k, v, o and their gradients are of one type T, lse and delta of its statistics' type; all is computed in
// that type, and results of type T are rounded once.

// o [Tq, H, D] and lse [Tq, H] (log of the sum of exponentials, natural) are overwritten. A query that sees
// no key gets o = 0 and lse = -infinity. q [Tq, H, D]; k, v [Tk, Hkv, D]. H may be 0, and any row count.
void attention(Heads o, Matrix lse, Heads q, Heads k, Heads v, const AttentionProblem&, Arena& scratch,
               Stream);

// delta [T, H] = sum over D of d_o * o: what backward needs of the forward result.
void attention_delta(Matrix delta, Heads d_o, Heads o, Stream);

// dq, dk, dv are overwritten. lse as forward wrote it, delta of the same rows. Same bits for every thread
// count.
void attention_backward(Heads dq, Heads dk, Heads dv, Heads d_o, Matrix delta, Matrix lse, Heads q, Heads k,
                        Heads v, const AttentionProblem&, Arena& scratch, Stream);

// Scores that are computed: pairs (query, key) that see each other, over all spans, for one head. For FLOP
// counts.
i64 visible_pairs(std::span<const AttentionSpan> spans);

}  // namespace longsight::ops
