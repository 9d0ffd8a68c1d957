// Attention of ranks whose ranges hold whole sequences: nothing moves. `local` and, between images, `images`.
#include "parallel/attention/attention_heads.h"
#include "parallel/attention/attention_spans.h"

namespace longsight::parallel {
namespace {

struct LocalFrame {
  Tensor qkv;  // as forward got it
  Tensor lse;  // [T, H]
};

class LocalAttention final : public AttentionStrategy {
 public:
  LocalAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank)
      : AttentionStrategy(shape, stream, rank) {
    check(respects(stream.cuts, stream.sequences), "local attention over ranges that cut a sequence");
    spans_ = attention_spans(shape, stream, range(rank), range(rank));
  }

  bool keeps_projection() const override { return true; }
  Shape log_sums() const override { return {my_rows(), shape_.heads}; }
  void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace&) override;
  void forward_again(Tensor lse, Tensor qkv, const Workspace& w) override {
    w.frames.push(LocalFrame{qkv, lse});
  }
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) override;
  std::vector<double> head_pairs() const override { return pairs_of_rows(shape_, stream_); }

 private:
  std::vector<ops::AttentionSpan> spans_;
};

void LocalAttention::forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) {
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, shape_.width);
  ops::attention(Heads(o, shape_.heads, shape_.width), lse, x.q, x.k, x.v, all_heads(shape_, spans_),
                 w.scratch, w.stream);
  w.frames.push(LocalFrame{qkv, lse});
}

void LocalAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<LocalFrame>();
  const ArenaScope scope(w.scratch);
  Tensor delta = w.scratch.take(statistics_of(d_o.dtype()), {d_o.rows(), shape_.heads}, "attention delta");
  const Heads d_o_heads(d_o, shape_.heads, shape_.width);
  ops::attention_delta(delta, d_o_heads, Heads(o, shape_.heads, shape_.width), w.stream);
  const QkvHeads x(frame.qkv, shape_.heads, shape_.kv_heads, shape_.width);
  const QkvHeads dx(d_qkv, shape_.heads, shape_.kv_heads, shape_.width);
  ops::attention_backward(dx.q, dx.k, dx.v, d_o_heads, delta, frame.lse, x.q, x.k, x.v,
                          all_heads(shape_, spans_), w.scratch, w.stream);
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_local(const AttentionShape& shape, const AttentionStream& stream,
                                              i64 rank, const std::string&) {
  return std::make_unique<LocalAttention>(shape, stream, rank);
}

}  // namespace longsight::parallel
