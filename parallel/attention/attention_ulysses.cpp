// Ulysses attention (Jacobs et al. 2023): q, k, v go from sequence shards to head shards in one exchange,
// each rank runs whole sequences for its heads, the result comes back.
#include <numeric>

#include "parallel/attention/attention_heads.h"
#include "parallel/attention/attention_spans.h"
#include "parallel/attention/head_exchange.h"

namespace longsight::parallel {
namespace {

class UlyssesAttention final : public AttentionStrategy {
 public:
  UlyssesAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank,
                   const std::string& label)
      : AttentionStrategy(shape, stream, rank),
        exchange_(shape, stream.cuts, rank, ranks(), label),
        spans_(attention_spans(shape, stream, whole(), whole())) {}

  bool keeps_projection() const override { return false; }
  Shape log_sums() const override { return {whole().end, exchange_.heads().q}; }
  void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace&) override;
  void forward_again(Tensor lse, Tensor qkv, const Workspace& w) override {
    w.frames.push(HeadFrame{.qkv = exchange_.to_heads(qkv, w), .lse = lse});
  }
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) override;
  std::vector<double> head_pairs() const override;

 private:
  HeadExchange exchange_;
  std::vector<ops::AttentionSpan> spans_;  // whole sequences
};

void UlyssesAttention::forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) {
  const HeadRange& h = exchange_.heads();
  const i64 d = shape_.width;
  const HeadFrame frame{.qkv = exchange_.to_heads(qkv, w), .lse = lse};
  const ArenaScope scope(w.scratch);
  Tensor o_heads = w.scratch.take(qkv.dtype(), {whole().end, h.q * d}, "attention result of my heads");
  const QkvHeads x(frame.qkv, h.q, h.kv, d);
  ops::attention(Heads(o_heads, h.q, d), frame.lse, x.q, x.k, x.v, some_heads(shape_, h, spans_), w.scratch,
                 w.stream);
  exchange_.to_rows(o, o_heads, w);
  w.frames.push(frame);
}

void UlyssesAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<HeadFrame>();
  const HeadRange& h = exchange_.heads();
  const DType dtype = d_o.dtype();
  const i64 d = shape_.width;
  const ArenaScope scope(w.scratch);
  Tensor d_mine = w.scratch.take(dtype, {whole().end, h.heads() * d}, "gradient of q, k, v of my heads");
  {
    const ArenaScope inner(w.scratch);
    const HeadExchange::ResultGradient result = exchange_.gradient_to_heads(d_o, o, w);
    const QkvHeads x(frame.qkv, h.q, h.kv, d), dx(d_mine, h.q, h.kv, d);
    ops::attention_backward(dx.q, dx.k, dx.v, Heads(result.d_o, h.q, d), result.delta, frame.lse, x.q, x.k,
                            x.v, some_heads(shape_, h, spans_), w.scratch, w.stream);
  }
  exchange_.gradient_to_rows(d_qkv, d_mine, w);
}

std::vector<double> UlyssesAttention::head_pairs() const {
  const std::vector<double> rows =
      attention_pairs(stream_.sequences, stream_.cuts, shape_.causal, shape_.window, stream_.prefixes);
  const double all = std::accumulate(rows.begin(), rows.end(), 0.0);
  std::vector<double> pairs;
  for (i64 r = 0; r < ranks(); ++r)
    pairs.push_back(all * static_cast<double>(head_range(shape_.heads, shape_.kv_heads, ranks(), r).q));
  return pairs;
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_ulysses(const AttentionShape& shape, const AttentionStream& stream,
                                                i64 rank, const std::string& label) {
  return std::make_unique<UlyssesAttention>(shape, stream, rank, label);
}

}  // namespace longsight::parallel
