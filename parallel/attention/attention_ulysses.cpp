// Ulysses attention (Jacobs et al. 2023): q, k, v go from sequence shards to head shards in one exchange,
// each rank runs whole sequences for its heads, the result comes back. Any head count and any cut; a KV head
// goes to just those ranks whose query heads use it, and its gradient comes back as their sum.
#include <algorithm>
#include <array>
#include <numeric>

#include "parallel/attention/attention_heads.h"
#include "parallel/attention/attention_spans.h"
#include "parallel/attention/head_split.h"
#include "parallel/attention/row_sums.h"

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

// The same bits as elements of `type`, each of which becomes several.
Matrix seen_as(const Tensor& x, DType type) {
  const i64 columns = x.row_size() * (size_of(x.dtype()) / size_of(type));
  return {x.data(), type, x.rows(), columns, columns, x.backend()};
}

class UlyssesAttention final : public AttentionStrategy {
 public:
  UlyssesAttention(const AttentionShape&, const AttentionStream&, i64 rank, const std::string& label);

  bool keeps_projection() const override { return false; }
  Shape log_sums() const override { return {whole().end, mine_.q}; }
  void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace&) override;
  void forward_again(Tensor lse, Tensor qkv, const Workspace& w) override {
    w.frames.push(UlyssesFrame{.qkv = to_heads(qkv, w), .lse = lse});
  }
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) override;
  std::vector<double> head_pairs() const override;

 private:
  Tensor to_heads(Tensor qkv, const Workspace&) const;  // q, k, v of this rank's heads, of all rows
  ops::AttentionProblem problem() const;

  std::vector<HeadRange> heads_;           // of the ranks that have any, in rank order
  HeadRange mine_;                         // of this rank
  std::vector<ops::AttentionSpan> spans_;  // whole sequences
  Exchange qkv_to_heads_, result_to_rows_, d_qkv_to_rows_;
  std::array<Exchange, 2> gradient_to_heads_;  // where delta takes one element, and where it takes two
};

UlyssesAttention::UlyssesAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank,
                                   const std::string& label)
    : AttentionStrategy(shape, stream, rank), spans_(attention_spans(shape, stream, whole(), whole())) {
  std::vector<i64> rows_of;
  std::vector<HeadRange> heads_of;
  for (i64 r = 0; r < ranks(); ++r) {
    heads_of.push_back(head_range(shape.heads, shape.kv_heads, ranks(), r));
    rows_of.push_back(rows(r));
    if (heads_of.back().heads() > 0) heads_.push_back(heads_of.back());
  }
  mine_ = heads_of[static_cast<std::size_t>(rank)];
  // From row shards to head shards, when a row takes so many elements for each rank.
  const auto for_heads = [&](auto&& columns) {
    std::vector<i64> columns_of;
    for (const HeadRange& h : heads_of) columns_of.push_back(columns(h));
    return Counts::product(rows_of, columns_of);
  };
  const i64 d = shape.width;
  const Counts qkv = for_heads([&](const HeadRange& h) { return h.heads() * d; });
  const Counts result = for_heads([&](const HeadRange& h) { return h.q * d; });
  const std::string forth = label + " to heads", back = label + " to rows";
  qkv_to_heads_ = all_to_all(forth, qkv);
  result_to_rows_ = all_to_all(back, result.transposed());
  for (i64 delta : {1, 2})
    gradient_to_heads_[static_cast<std::size_t>(delta) - 1] =
        all_to_all(forth, for_heads([&](const HeadRange& h) { return h.q * (d + delta); }));
  d_qkv_to_rows_ = all_to_all(back, qkv.transposed());
}

ops::AttentionProblem UlyssesAttention::problem() const {
  return {.spans = spans_,
          .heads = {.first_q = mine_.first_q,
                    .group = shape_.heads / shape_.kv_heads,
                    .first_kv = mine_.first_kv},
          .scale = shape_.scale()};
}

// ---- forward: q, k, v to heads; attention; result to rows

Tensor UlyssesAttention::to_heads(Tensor qkv, const Workspace& w) const {
  const DType dtype = qkv.dtype();
  const i64 d = shape_.width;
  const Tensor mine = w.saved.take(dtype, {whole().end, mine_.heads() * d}, "q, k, v of my heads");
  const ArenaScope scope(w.scratch);
  Tensor send = w.scratch.take(dtype, {qkv_to_heads_.counts.total_sent_by(me())}, "q, k, v to send");
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, d);
  Blocks blocks(send);
  for (const HeadRange& h : heads_) {
    const QkvHeads to(blocks.next(my_rows(), h.heads() * d), h.q, h.kv, d);
    ops::copy_matrix(to.q.matrix, x.q.range(h.first_q, h.q).matrix, w.stream);
    ops::copy_matrix(to.k.matrix, x.k.range(h.first_kv, h.kv).matrix, w.stream);
    ops::copy_matrix(to.v.matrix, x.v.range(h.first_kv, h.kv).matrix, w.stream);
  }
  qkv_to_heads_.run(send, mine, w.group, w.stream);
  return mine;
}

void UlyssesAttention::forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) {
  const DType dtype = qkv.dtype();
  const i64 d = shape_.width;
  const UlyssesFrame frame{.qkv = to_heads(qkv, w), .lse = lse};
  const ArenaScope scope(w.scratch);
  Tensor o_heads = w.scratch.take(dtype, {whole().end, mine_.q * d}, "attention result of my heads");
  const QkvHeads mine_qkv(frame.qkv, mine_.q, mine_.kv, d);
  ops::attention(Heads(o_heads, mine_.q, d), frame.lse, mine_qkv.q, mine_qkv.k, mine_qkv.v, problem(),
                 w.scratch, w.stream);

  Tensor received =
      w.scratch.take(dtype, {result_to_rows_.counts.total_received_by(me())}, "attention result received");
  result_to_rows_.run(o_heads, received, w.group, w.stream);
  const Heads o_of(o, shape_.heads, d);
  Blocks blocks(received);
  for (const HeadRange& h : heads_)
    ops::copy_matrix(o_of.range(h.first_q, h.q).matrix, blocks.next(my_rows(), h.q * d), w.stream);
  w.frames.push(frame);
}

// ---- backward: d_o to heads, with the bits of delta as further columns; attention backward; dq, dk, dv to
// rows

void UlyssesAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<UlyssesFrame>();
  const DType dtype = d_o.dtype(), sums = statistics_of(dtype);
  const i64 d = shape_.width, delta_width = size_of(sums) / size_of(dtype);
  const Exchange& gradient_to_heads = gradient_to_heads_[static_cast<std::size_t>(delta_width) - 1];
  const ArenaScope scope(w.scratch);
  Tensor d_mine = w.scratch.take(dtype, {whole().end, mine_.heads() * d}, "gradient of q, k, v of my heads");
  {
    const ArenaScope inner(w.scratch);
    Tensor d_o_heads = w.scratch.take(dtype, {whole().end, mine_.q * (d + delta_width)},
                                      "gradient of attention result of my heads");
    {
      const ArenaScope sending(w.scratch);
      Tensor delta = w.scratch.take(sums, {my_rows(), shape_.heads}, "attention delta");
      ops::attention_delta(delta, Heads(d_o, shape_.heads, d), Heads(o, shape_.heads, d), w.stream);
      Tensor send = w.scratch.take(dtype, {gradient_to_heads.counts.total_sent_by(me())},
                                   "gradient of attention result to send");
      Blocks blocks(send);
      for (const HeadRange& h : heads_) {
        const Matrix to = blocks.next(my_rows(), h.q * (d + delta_width));
        ops::copy_matrix(to.columns(0, h.q * d), Matrix(d_o).columns(h.first_q * d, h.q * d), w.stream);
        ops::copy_matrix(to.columns(h.q * d, h.q * delta_width),
                         seen_as(delta, dtype).columns(h.first_q * delta_width, h.q * delta_width), w.stream);
      }
      gradient_to_heads.run(send, d_o_heads, w.group, w.stream);
    }
    const Matrix both(d_o_heads);
    const Heads d_o_mine(both.columns(0, mine_.q * d), mine_.q, d);
    Matrix delta_mine = both.columns(mine_.q * d, mine_.q * delta_width);
    if (sums != dtype) {
      const Tensor aligned = w.scratch.take(sums, {whole().end, mine_.q}, "attention delta");
      ops::copy_matrix(seen_as(aligned, dtype), delta_mine, w.stream);
      delta_mine = aligned;
    }
    const QkvHeads x(frame.qkv, mine_.q, mine_.kv, d);
    const QkvHeads dx(d_mine, mine_.q, mine_.kv, d);
    ops::attention_backward(dx.q, dx.k, dx.v, d_o_mine, delta_mine, frame.lse, x.q, x.k, x.v, problem(),
                            w.scratch, w.stream);
  }
  Tensor received =
      w.scratch.take(dtype, {d_qkv_to_rows_.counts.total_received_by(me())}, "gradient of q, k, v received");
  d_qkv_to_rows_.run(d_mine, received, w.group, w.stream);
  const Heads dq(Matrix(d_qkv).columns(0, shape_.q_columns()), shape_.heads, d);
  const RowSums d_kv(Matrix(d_qkv).columns(shape_.q_columns(), shape_.kv_columns()), w);
  const KvHeads dx(d_kv.sums(), shape_.kv_heads, d);
  Blocks blocks(received);
  i64 kv_seen = 0;  // KV heads [0, kv_seen) hold a first term; ranks come in ascending order of heads
  for (const HeadRange& h : heads_) {
    const QkvHeads from(blocks.next(my_rows(), h.heads() * d), h.q, h.kv, d);
    ops::copy_matrix(dq.range(h.first_q, h.q).matrix, from.q.matrix, w.stream);
    for (i64 i = 0; i < h.kv; ++i) {
      const i64 head = h.first_kv + i;
      const auto put = head < kv_seen ? ops::add_matrix : ops::copy_matrix;
      put(dx.k.range(head, 1).matrix, from.k.range(i, 1).matrix, w.stream);
      put(dx.v.range(head, 1).matrix, from.v.range(i, 1).matrix, w.stream);
      kv_seen = std::max(kv_seen, head + 1);
    }
  }
  d_kv.finish();
}

// ---- what it costs

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
