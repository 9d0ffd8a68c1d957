// Ring attention (Liu et al. 2023): blocks of K and V pass from rank to rank, and each rank merges what its
// queries make of them by their log-sums. A rank holds no more than its own rows and one block at a time, in
// either direction; backward sends the blocks round again, and their gradients with them: sums, so in the
// statistics' type.
#include <algorithm>
#include <array>

#include "parallel/attention/attention_heads.h"
#include "parallel/attention/attention_spans.h"
#include "parallel/attention/ring_route.h"
#include "parallel/attention/row_sums.h"
#include "runtime/ops/merge_attention.h"

namespace longsight::parallel {
namespace {

struct RingFrame {
  Tensor qkv;  // this rank's, as forward got it
  Tensor lse;
};

class RingAttention final : public AttentionStrategy {
 public:
  RingAttention(const AttentionShape&, const AttentionStream&, i64 rank, const std::string& label);

  bool keeps_projection() const override { return true; }
  Shape log_sums() const override { return {my_rows(), shape_.heads}; }
  void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace&) override;
  void forward_again(Tensor lse, Tensor qkv, const Workspace& w) override {
    w.frames.push(RingFrame{.qkv = qkv, .lse = lse});
  }
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) override;
  std::vector<double> head_pairs() const override { return pairs_of_rows(shape_, stream_); }

 private:
  struct Round {
    RingRound route;
    Exchange keys, gradients;               // elements
    std::vector<ops::AttentionSpan> spans;  // of this rank's queries and the keys of the round
  };

  // Keys and values as they go round: two buffers, of which one is sent from and the other received into.
  class Blocks {
   public:
    Blocks(const RingAttention&, Matrix mine, DType, const Workspace&);
    // Rows round.held, of the next round. Collective.
    Tensor next(const Round&);

   private:
    const Workspace& w_;
    std::array<Tensor, 2> buffers_;
    Tensor held_;
    RowRange rows_;
  };

  KvHeads heads_of(Matrix kv) const { return {kv, shape_.kv_heads, shape_.width}; }
  // Rows of `part` within a matrix of the rows `all`.
  static Matrix rows_of(Matrix m, RowRange all, RowRange part) {
    return part.rows() == 0 ? m.row_range(0, 0) : m.row_range(part.begin - all.begin, part.rows());
  }
  i64 most_rows(RowRange RingRound::*what) const {
    i64 most = 0;
    for (const Round& round : rounds_) most = std::max(most, (round.route.*what).rows());
    return most;
  }

  RowRange own_;                               // of this rank's keys, what its queries see
  std::vector<ops::AttentionSpan> own_spans_;  // of the same
  std::vector<Round> rounds_;                  // the others' blocks
};

RingAttention::RingAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank,
                             const std::string& label)
    : AttentionStrategy(shape, stream, rank) {
  std::vector<RowRange> needed;
  for (i64 r = 0; r < ranks(); ++r) needed.push_back(needed_keys(shape, stream, range(r)));
  const RowRange mine = range(me()), here = needed[static_cast<std::size_t>(me())];
  own_ = {std::clamp(here.begin, mine.begin, mine.end), std::clamp(here.end, mine.begin, mine.end)};
  own_spans_ = attention_spans(shape, stream, mine, own_);
  for (RingRound& route : ring_route(stream.cuts, needed, me())) {
    Round round;
    round.keys = all_to_all(label + " keys and values", route.keys.times(shape.kv_columns()));
    round.gradients =
        all_to_all(label + " key and value gradients", route.gradients.times(shape.kv_columns()));
    if (route.needed.rows() > 0) round.spans = attention_spans(shape, stream, mine, route.needed);
    round.route = std::move(route);
    rounds_.push_back(std::move(round));
  }
}

// ---- keys and values, round the ring

RingAttention::Blocks::Blocks(const RingAttention& ring, Matrix mine, DType dtype, const Workspace& w)
    : w_(w) {
  const i64 rows = std::max(ring.most_rows(&RingRound::sent), ring.most_rows(&RingRound::held));
  for (Tensor& buffer : buffers_)
    buffer = w.scratch.take(dtype, {rows, mine.cols}, "keys and values in the ring");
  held_ = buffers_[0];
  if (ring.rounds_.empty()) return;
  rows_ = ring.rounds_.front().route.sent;
  held_ = buffers_[0].row_range(0, rows_.rows());
  ops::copy_matrix(held_, rows_of(mine, ring.range(ring.me()), rows_), w.stream);
}

Tensor RingAttention::Blocks::next(const Round& round) {
  const RowRange sent = round.route.sent, held = round.route.held;
  const Tensor send = held_.row_range(sent.rows() == 0 ? 0 : sent.begin - rows_.begin, sent.rows());
  std::swap(buffers_[0], buffers_[1]);
  const Tensor received = buffers_[0].row_range(0, held.rows());
  round.keys.run(send, received, w_.group, w_.stream);
  held_ = received;
  rows_ = held;
  return held_;
}

// ---- forward: what the queries make of one block after the other, merged

void RingAttention::forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) {
  const DType dtype = qkv.dtype();
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, shape_.width);
  const Matrix mine = Matrix(qkv).columns(shape_.q_columns(), shape_.kv_columns());
  const Heads result(o, shape_.heads, shape_.width);
  const KvHeads own = heads_of(rows_of(mine, range(me()), own_));
  ops::attention(result, lse, x.q, own.k, own.v, all_heads(shape_, own_spans_), w.scratch, w.stream);
  if (!rounds_.empty()) {
    const ArenaScope scope(w.scratch);
    const RowSums merged(o, w);
    const Heads merged_heads(merged.sums(), shape_.heads, shape_.width);
    merged.begin_with_result();
    Blocks blocks(*this, mine, dtype, w);
    const Tensor part = w.scratch.take(dtype, {my_rows(), shape_.q_columns()}, "attention result of a block"),
                 part_lse =
                     w.scratch.take(statistics_of(dtype), {my_rows(), shape_.heads}, "log-sums of a block");
    for (const Round& round : rounds_) {
      const Tensor held = blocks.next(round);
      if (round.route.needed.rows() == 0) continue;
      const KvHeads kv = heads_of(rows_of(held, round.route.held, round.route.needed));
      const Heads part_heads(part, shape_.heads, shape_.width);
      ops::attention(part_heads, part_lse, x.q, kv.k, kv.v, all_heads(shape_, round.spans), w.scratch,
                     w.stream);
      ops::merge_attention(merged_heads, lse, part_heads, part_lse, w.stream);
    }
    merged.finish();
  }
  w.frames.push(RingFrame{.qkv = qkv, .lse = lse});
}

// ---- backward: the same rounds; with the log-sums of all keys each block's part of every gradient is exact

void RingAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<RingFrame>();
  const DType dtype = d_o.dtype(), sum_type = statistics_of(dtype);
  const i64 columns = shape_.kv_columns();
  const ArenaScope scope(w.scratch);
  const QkvHeads x(frame.qkv, shape_.heads, shape_.kv_heads, shape_.width),
      dx(d_qkv, shape_.heads, shape_.kv_heads, shape_.width);
  const Matrix mine = Matrix(frame.qkv).columns(shape_.q_columns(), columns),
               d_mine = Matrix(d_qkv).columns(shape_.q_columns(), columns);
  const Heads d_result(d_o, shape_.heads, shape_.width);
  const Tensor delta = w.scratch.take(sum_type, {my_rows(), shape_.heads}, "attention delta");
  ops::attention_delta(delta, d_result, Heads(o, shape_.heads, shape_.width), w.stream);

  ops::zero_matrix(d_mine, w.stream);
  const KvHeads own = heads_of(rows_of(mine, range(me()), own_)),
                d_own = heads_of(rows_of(d_mine, range(me()), own_));
  ops::attention_backward(dx.q, d_own.k, d_own.v, d_result, delta, frame.lse, x.q, own.k, own.v,
                          all_heads(shape_, own_spans_), w.scratch, w.stream);
  if (rounds_.empty()) return;

  const RowSums all(d_qkv, w);
  all.begin_with_result();
  const Matrix dq_sums = all.sums().columns(0, shape_.q_columns()),
               d_mine_sums = all.sums().columns(shape_.q_columns(), columns);
  i64 most_received = 0;
  for (const Round& round : rounds_)
    most_received = std::max(most_received, round.gradients.counts.total_received_by(me()));
  Blocks blocks(*this, mine, dtype, w);
  const Tensor dq_part = w.scratch.take(dtype, {my_rows(), shape_.q_columns()}, "query gradient of a block"),
               d_kv_part = w.scratch.take(dtype, {most_rows(&RingRound::needed), columns},
                                          "key and value gradients of a block"),
               sums = w.scratch.take(sum_type, {most_rows(&RingRound::summed), columns},
                                     "key and value gradients in the ring"),
               arrived = w.scratch.take(sum_type, {exact_div(most_received, columns), columns},
                                        "key and value gradients received");
  Tensor with_block = arrived.row_range(0, 0);  // the sums that came with the block of this round
  for (const Round& round : rounds_) {
    const RingRound& route = round.route;
    const Tensor held = blocks.next(round);
    const Tensor sum = sums.row_range(0, route.summed.rows());
    ops::zero_matrix(sum, w.stream);
    ops::copy_matrix(rows_of(sum, route.summed, route.summed_before), with_block, w.stream);
    if (route.needed.rows() > 0) {
      const KvHeads kv = heads_of(rows_of(held, route.held, route.needed));
      const Tensor d_kv = d_kv_part.row_range(0, route.needed.rows());
      const KvHeads d_kv_heads = heads_of(d_kv);
      const Heads dq(dq_part, shape_.heads, shape_.width);
      ops::attention_backward(dq, d_kv_heads.k, d_kv_heads.v, d_result, delta, frame.lse, x.q, kv.k, kv.v,
                              all_heads(shape_, round.spans), w.scratch, w.stream);
      ops::add_matrix(dq_sums, dq.matrix, w.stream);
      ops::add_matrix(rows_of(sum, route.summed, route.needed), d_kv, w.stream);
    }
    const i64 rows = exact_div(round.gradients.counts.total_received_by(me()), columns);
    const i64 home = route.home.rows();
    round.gradients.run(sum, arrived.row_range(0, rows), w.group, w.stream);
    with_block = arrived.row_range(route.home_first ? home : 0, rows - home);
    ops::add_matrix(rows_of(d_mine_sums, range(me()), route.home),
                    arrived.row_range(route.home_first ? 0 : rows - home, home), w.stream);
  }
  all.finish();
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_ring(const AttentionShape& shape, const AttentionStream& stream,
                                             i64 rank, const std::string& label) {
  return std::make_unique<RingAttention>(shape, stream, rank, label);
}

}  // namespace longsight::parallel
