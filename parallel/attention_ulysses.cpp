// Ulysses attention (Jacobs et al. 2023): q, k, v go from sequence shards to head shards in one exchange,
// each rank runs whole sequences for its heads, the result comes back. Any head count and any cut; a KV head
// goes to just those ranks whose query heads use it, and its gradient comes back as their sum.
#include <algorithm>
#include <numeric>

#include "parallel/attention_heads.h"
#include "parallel/attention_spans.h"
#include "parallel/head_split.h"
#include "runtime/ops/rows.h"

namespace longsight::parallel {
namespace {

struct UlyssesFrame {
  Tensor qkv;  // [all rows, q + 2 kv heads of this rank]
  Tensor lse;  // [all rows, q heads of this rank]
};

// Blocks of a buffer, one per rank, seen as matrices one behind the other.
class Blocks {
 public:
  explicit Blocks(Tensor buffer)
      : next_(static_cast<std::byte*>(buffer.data())), dtype_(buffer.dtype()), backend_(buffer.backend()) {}
  Matrix next(i64 rows, i64 columns) {
    const Matrix block(next_, dtype_, rows, columns, columns, backend_);
    next_ += rows * columns * size_of(dtype_);
    return block;
  }

 private:
  std::byte* next_;
  DType dtype_;
  Backend backend_;
};

class UlyssesAttention final : public AttentionStrategy {
 public:
  UlyssesAttention(const AttentionShape&, const AttentionStream&, ProcessGroup&, const std::string& label);

  bool keeps_projection() const override { return false; }
  void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) override;
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) override;
  std::vector<double> head_pairs() const override;
  AttentionMemory memory(i64 rank, DType, int threads) const override;

 private:
  i64 my_rows() const { return rows(group_.rank()); }
  const HeadRange& heads_of(i64 rank) const { return heads_[static_cast<std::size_t>(rank)]; }
  const HeadRange& mine() const { return heads_of(group_.rank()); }
  ops::AttentionProblem problem() const;

  std::vector<HeadRange> heads_;           // by rank
  std::vector<ops::AttentionSpan> spans_;  // whole sequences
};

UlyssesAttention::UlyssesAttention(const AttentionShape& shape, const AttentionStream& stream,
                                   ProcessGroup& group, const std::string& label)
    : AttentionStrategy(shape, stream, group), spans_(attention_spans(shape, stream, whole(), whole())) {
  std::vector<i64> rows_of;
  for (i64 r = 0; r < group.size(); ++r) {
    heads_.push_back(head_range(shape.heads, shape.kv_heads, group.size(), r));
    rows_of.push_back(rows(r));
  }
  // From row shards to head shards, when a row takes so many elements for each rank.
  const auto to_heads = [&](auto&& columns) {
    std::vector<i64> columns_of;
    for (const HeadRange& h : heads_) columns_of.push_back(columns(h));
    return Counts::product(rows_of, columns_of);
  };
  const i64 d = shape.width;
  const Counts qkv = to_heads([&](const HeadRange& h) { return h.heads() * d; });
  const Counts result = to_heads([&](const HeadRange& h) { return h.q * d; });
  const Counts result_and_delta = to_heads([&](const HeadRange& h) { return h.q * (d + 1); });
  const std::string forth = label + " to heads", back = label + " to rows";
  forward_ = {all_to_all(forth, qkv), all_to_all(back, result.transposed())};
  backward_ = {all_to_all(forth, result_and_delta), all_to_all(back, qkv.transposed())};
}

ops::AttentionProblem UlyssesAttention::problem() const {
  return {.spans = spans_,
          .heads = {.first_q = mine().first_q,
                    .group = shape_.heads / shape_.kv_heads,
                    .first_kv = mine().first_kv},
          .scale = shape_.scale()};
}

// ---- forward: q, k, v to heads; attention; result to rows

void UlyssesAttention::forward(Tensor o, Tensor qkv, const AttentionWorkspace& w) {
  const DType dtype = qkv.dtype();
  const i64 me = group_.rank(), d = shape_.width;
  const Exchange &to_heads = forward_[0], &to_rows = forward_[1];

  UlyssesFrame frame{.qkv = w.saved.take(dtype, {whole().end, mine().heads() * d}, "q, k, v of my heads"),
                     .lse = w.saved.take(dtype, {whole().end, mine().q}, "attention log-sums")};
  {
    const ArenaScope scope(w.scratch);
    Tensor send = w.scratch.take(dtype, {to_heads.counts.total_sent_by(me)}, "q, k, v to send");
    const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, d);
    Blocks blocks(send);
    for (const HeadRange& h : heads_) {
      const QkvHeads to(blocks.next(my_rows(), h.heads() * d), h.q, h.kv, d);
      ops::copy_matrix(to.q.matrix, x.q.range(h.first_q, h.q).matrix, w.stream);
      ops::copy_matrix(to.k.matrix, x.k.range(h.first_kv, h.kv).matrix, w.stream);
      ops::copy_matrix(to.v.matrix, x.v.range(h.first_kv, h.kv).matrix, w.stream);
    }
    to_heads.run(send, frame.qkv, group_, w.stream);
  }
  const ArenaScope scope(w.scratch);
  Tensor o_heads = w.scratch.take(dtype, {whole().end, mine().q * d}, "attention result of my heads");
  const QkvHeads mine_qkv(frame.qkv, mine().q, mine().kv, d);
  ops::attention(Heads(o_heads, mine().q, d), frame.lse, mine_qkv.q, mine_qkv.k, mine_qkv.v, problem(),
                 w.scratch, w.stream);

  Tensor received =
      w.scratch.take(dtype, {to_rows.counts.total_received_by(me)}, "attention result received");
  to_rows.run(o_heads, received, group_, w.stream);
  const Heads o_of(o, shape_.heads, d);
  Blocks blocks(received);
  for (const HeadRange& h : heads_)
    ops::copy_matrix(o_of.range(h.first_q, h.q).matrix, blocks.next(my_rows(), h.q * d), w.stream);
  w.frames.push(frame);
}

// ---- backward: d_o to heads, with delta as further columns; attention backward; dq, dk, dv to rows

void UlyssesAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace& w) {
  const auto frame = w.frames.pop<UlyssesFrame>();
  const DType dtype = d_o.dtype();
  const i64 me = group_.rank(), d = shape_.width;
  const Exchange &to_heads = backward_[0], &to_rows = backward_[1];
  const ArenaScope scope(w.scratch);
  Tensor d_mine = w.scratch.take(dtype, {whole().end, mine().heads() * d}, "gradient of q, k, v of my heads");
  {
    const ArenaScope inner(w.scratch);
    Tensor d_o_heads =
        w.scratch.take(dtype, {whole().end, mine().q * (d + 1)}, "gradient of attention result of my heads");
    {
      const ArenaScope sending(w.scratch);
      Tensor delta = w.scratch.take(dtype, {my_rows(), shape_.heads}, "attention delta");
      ops::attention_delta(delta, Heads(d_o, shape_.heads, d), Heads(o, shape_.heads, d), w.stream);
      Tensor send =
          w.scratch.take(dtype, {to_heads.counts.total_sent_by(me)}, "gradient of attention result to send");
      Blocks blocks(send);
      for (const HeadRange& h : heads_) {
        const Matrix to = blocks.next(my_rows(), h.q * (d + 1));
        ops::copy_matrix(to.columns(0, h.q * d), Matrix(d_o).columns(h.first_q * d, h.q * d), w.stream);
        ops::copy_matrix(to.columns(h.q * d, h.q), Matrix(delta).columns(h.first_q, h.q), w.stream);
      }
      to_heads.run(send, d_o_heads, group_, w.stream);
    }
    const Matrix both(d_o_heads);
    const Heads d_o_mine(both.columns(0, mine().q * d), mine().q, d);
    const Matrix delta_mine = both.columns(mine().q * d, mine().q);
    const QkvHeads x(frame.qkv, mine().q, mine().kv, d);
    const QkvHeads dx(d_mine, mine().q, mine().kv, d);
    ops::attention_backward(dx.q, dx.k, dx.v, d_o_mine, delta_mine, frame.lse, x.q, x.k, x.v, problem(),
                            w.scratch, w.stream);
  }
  Tensor received =
      w.scratch.take(dtype, {to_rows.counts.total_received_by(me)}, "gradient of q, k, v received");
  to_rows.run(d_mine, received, group_, w.stream);
  const QkvHeads dx(d_qkv, shape_.heads, shape_.kv_heads, d);
  Blocks blocks(received);
  i64 kv_seen = 0;  // KV heads [0, kv_seen) hold a first term; ranks come in ascending order of heads
  for (const HeadRange& h : heads_) {
    const QkvHeads from(blocks.next(my_rows(), h.heads() * d), h.q, h.kv, d);
    ops::copy_matrix(dx.q.range(h.first_q, h.q).matrix, from.q.matrix, w.stream);
    for (i64 i = 0; i < h.kv; ++i) {
      const i64 head = h.first_kv + i;
      const auto put = head < kv_seen ? ops::add_matrix : ops::copy_matrix;
      put(dx.k.range(head, 1).matrix, from.k.range(i, 1).matrix, w.stream);
      put(dx.v.range(head, 1).matrix, from.v.range(i, 1).matrix, w.stream);
      kv_seen = std::max(kv_seen, head + 1);
    }
  }
}

// ---- what it costs

std::vector<double> UlyssesAttention::head_pairs() const {
  const std::vector<double> rows =
      attention_pairs(stream_.sequences, stream_.cuts, shape_.causal, shape_.window, stream_.prefixes);
  const double all = std::accumulate(rows.begin(), rows.end(), 0.0);
  std::vector<double> pairs;
  for (const HeadRange& h : heads_) pairs.push_back(all * static_cast<double>(h.q));
  return pairs;
}

AttentionMemory UlyssesAttention::memory(i64 rank, DType dtype, int threads) const {
  const HeadRange& h = heads_of(rank);
  const i64 d = shape_.width, all = whole().end;
  const auto bytes = [&](i64 elements) { return Arena::bytes_of(dtype, elements); };
  const auto kernels = kernel_scratch(shape_, stream_, whole(), whole(), h.q, h.kv, dtype, threads);
  const i64 qkv = bytes(all * h.heads() * d), delta = bytes(rows(rank) * shape_.heads);
  const auto sent = [&](const Exchange& e) { return bytes(e.counts.total_sent_by(rank)); };
  const auto received = [&](const Exchange& e) { return bytes(e.counts.total_received_by(rank)); };
  return {.saved = qkv + bytes(all * h.q),
          .forward = std::max(sent(forward_[0]),
                              bytes(all * h.q * d) + std::max(kernels.forward, received(forward_[1]))),
          .backward = qkv + std::max(bytes(all * h.q * (d + 1)) +
                                         std::max(delta + sent(backward_[0]), kernels.backward),
                                     received(backward_[1]))};
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_ulysses(const AttentionShape& shape, const AttentionStream& stream,
                                                ProcessGroup& group, const std::string& label) {
  return std::make_unique<UlyssesAttention>(shape, stream, group, label);
}

}  // namespace longsight::parallel
