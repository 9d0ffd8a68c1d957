#include "parallel/attention_local.h"

#include "parallel/attention_heads.h"
#include "parallel/attention_spans.h"

namespace longsight::parallel {
namespace {

struct LocalFrame {
  Tensor qkv;  // as forward got it
  Tensor lse;  // [T, H]
};

}  // namespace

LocalAttention::LocalAttention(AttentionShape shape, AttentionStream stream, i64 rank) : shape_(shape) {
  check(respects(stream.cuts, stream.sequences), "local attention over ranges that cut a sequence");
  const RowRange mine{stream.cuts.begin(rank), stream.cuts.end(rank)};
  spans_ = attention_spans(shape, stream, mine, mine);
}

ops::AttentionProblem LocalAttention::problem() const {
  return {.spans = spans_,
          .heads = {.first_q = 0, .group = shape_.heads / shape_.kv_heads, .first_kv = 0},
          .scale = shape_.scale()};
}

void LocalAttention::forward(Tensor o, Tensor qkv, const AttentionWorkspace& w) {
  Tensor lse = w.saved.take(qkv.dtype(), {qkv.rows(), shape_.heads}, "attention log-sums");
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, shape_.width);
  ops::attention(Heads(o, shape_.heads, shape_.width), lse, x.q, x.k, x.v, problem(), w.scratch, w.stream);
  w.frames.push(LocalFrame{qkv, lse});
}

void LocalAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace& w) {
  const auto frame = w.frames.pop<LocalFrame>();
  const ArenaScope scope(w.scratch);
  Tensor delta = w.scratch.take(d_o.dtype(), {d_o.rows(), shape_.heads}, "attention delta");
  const Heads d_o_heads(d_o, shape_.heads, shape_.width);
  ops::attention_delta(delta, d_o_heads, Heads(o, shape_.heads, shape_.width), w.stream);
  const QkvHeads x(frame.qkv, shape_.heads, shape_.kv_heads, shape_.width);
  const QkvHeads dx(d_qkv, shape_.heads, shape_.kv_heads, shape_.width);
  ops::attention_backward(dx.q, dx.k, dx.v, d_o_heads, delta, frame.lse, x.q, x.k, x.v, problem(), w.scratch,
                          w.stream);
}

}  // namespace longsight::parallel
