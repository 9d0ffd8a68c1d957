// Hybrid attention (Ulysses inside, ring outside; Fang and Zhao 2024): neighbouring ranks change their rows
// for heads of all rows of their group, and the keys and values of these heads pass from group to group.
// Heads limit the size of a group only, not the ranks; what is exchanged between groups is the ring alone.
#include "parallel/attention/attention_heads.h"
#include "parallel/attention/head_exchange.h"
#include "parallel/attention/hybrid_degree.h"
#include "parallel/attention/ring_pass.h"

namespace longsight::parallel {
namespace {

class HybridAttention final : public AttentionStrategy {
 public:
  HybridAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank, i64 size,
                  const std::string& label)
      : AttentionStrategy(shape, stream, rank),
        exchange_(shape, stream.cuts, rank, size, label),
        ring_(shape, stream, rank, size, label) {}

  bool keeps_projection() const override { return false; }
  Shape log_sums() const override { return {ring_.rows(), ring_.heads().q}; }
  void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace&) override;
  void forward_again(Tensor lse, Tensor qkv, const Workspace& w) override {
    w.frames.push(HeadFrame{.qkv = exchange_.to_heads(qkv, w), .lse = lse});
  }
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) override;
  std::vector<double> head_pairs() const override { return ring_.head_pairs(stream_); }

 private:
  HeadExchange exchange_;
  RingPass ring_;
};

void HybridAttention::forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) {
  const HeadFrame frame{.qkv = exchange_.to_heads(qkv, w), .lse = lse};
  const ArenaScope scope(w.scratch);
  const Tensor o_heads = w.scratch.take(qkv.dtype(), {ring_.rows(), ring_.heads().q * shape_.width},
                                        "attention result of my heads");
  ring_.forward(o_heads, frame.lse, frame.qkv, w);
  exchange_.to_rows(o, o_heads, w);
  w.frames.push(frame);
}

void HybridAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<HeadFrame>();
  const HeadRange& h = ring_.heads();
  const DType dtype = d_o.dtype();
  const i64 rows = ring_.rows(), d = shape_.width;
  const ArenaScope scope(w.scratch);
  const Tensor d_mine = w.scratch.take(dtype, {rows, h.heads() * d}, "gradient of q, k, v of my heads");
  {
    const ArenaScope inner(w.scratch);
    const HeadExchange::ResultGradient result = exchange_.gradient_to_heads(d_o, o, w);
    ring_.backward(d_mine, result.d_o, result.delta, frame.lse, frame.qkv, w);
  }
  exchange_.gradient_to_rows(d_qkv, d_mine, w);
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_hybrid(const AttentionShape& shape, const AttentionStream& stream,
                                               i64 rank, const std::string& label) {
  const i64 size = hybrid_degree(stream.cuts.ranks(), shape.heads, stream.node);
  return std::make_unique<HybridAttention>(shape, stream, rank, size, label);
}

}  // namespace longsight::parallel
