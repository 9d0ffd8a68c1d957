// Ring attention (Liu et al. 2023): blocks of K and V pass from rank to rank, and each rank merges what its
// queries make of them by their log-sums.
#include "parallel/attention/ring_pass.h"

namespace longsight::parallel {
namespace {

struct RingFrame {
  Tensor qkv;  // this rank's, as forward got it
  Tensor lse;
};

class RingAttention final : public AttentionStrategy {
 public:
  RingAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank,
                const std::string& label)
      : AttentionStrategy(shape, stream, rank), ring_(shape, stream, rank, 1, label) {}

  bool keeps_projection() const override { return true; }
  Shape log_sums() const override { return {my_rows(), shape_.heads}; }
  void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) override {
    ring_.forward(o, lse, qkv, w);
    w.frames.push(RingFrame{.qkv = qkv, .lse = lse});
  }
  void forward_again(Tensor lse, Tensor qkv, const Workspace& w) override {
    w.frames.push(RingFrame{.qkv = qkv, .lse = lse});
  }
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) override;
  std::vector<double> head_pairs() const override { return ring_.head_pairs(stream_); }

 private:
  RingPass ring_;
};

void RingAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<RingFrame>();
  const ArenaScope scope(w.scratch);
  const Tensor delta =
      w.scratch.take(statistics_of(d_o.dtype()), {my_rows(), shape_.heads}, "attention delta");
  ops::attention_delta(delta, Heads(d_o, shape_.heads, shape_.width), Heads(o, shape_.heads, shape_.width),
                       w.stream);
  ring_.backward(d_qkv, d_o, delta, frame.lse, frame.qkv, w);
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_ring(const AttentionShape& shape, const AttentionStream& stream,
                                             i64 rank, const std::string& label) {
  return std::make_unique<RingAttention>(shape, stream, rank, label);
}

}  // namespace longsight::parallel
