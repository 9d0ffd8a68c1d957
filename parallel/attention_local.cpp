// Attention of ranks whose ranges hold whole sequences: nothing moves. `local` and, between images, `images`.
#include "parallel/attention_heads.h"
#include "parallel/attention_spans.h"

namespace longsight::parallel {
namespace {

struct LocalFrame {
  Tensor qkv;  // as forward got it
  Tensor lse;  // [T, H]
};

class LocalAttention final : public AttentionStrategy {
 public:
  LocalAttention(const AttentionShape& shape, const AttentionStream& stream, ProcessGroup& group)
      : AttentionStrategy(shape, stream, group) {
    check(respects(stream.cuts, stream.sequences), "local attention over ranges that cut a sequence");
    spans_ = attention_spans(shape, stream, range(group.rank()), range(group.rank()));
  }

  bool keeps_projection() const override { return true; }
  void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) override;
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) override;
  std::vector<double> head_pairs() const override { return pairs_of_rows(shape_, stream_); }
  AttentionMemory memory(i64 rank, DType, int threads) const override;

 private:
  ops::AttentionProblem problem() const;

  std::vector<ops::AttentionSpan> spans_;
};

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

AttentionMemory LocalAttention::memory(i64 rank, DType dtype, int threads) const {
  const i64 log_sums = Arena::bytes_of(dtype, rows(rank) * shape_.heads);  // and delta
  const auto kernels = kernel_scratch(shape_, stream_, range(rank), range(rank), shape_.heads,
                                      shape_.kv_heads, dtype, threads);
  return {.saved = log_sums, .forward = kernels.forward, .backward = log_sums + kernels.backward};
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_local(const AttentionShape& shape, const AttentionStream& stream,
                                              ProcessGroup& group, const std::string&) {
  return std::make_unique<LocalAttention>(shape, stream, group);
}

}  // namespace longsight::parallel
