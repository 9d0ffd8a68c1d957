#include "parallel/attention/head_exchange.h"

#include <algorithm>

#include "parallel/attention/attention_heads.h"
#include "parallel/attention/row_sums.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/rows.h"

namespace longsight::parallel {
namespace {

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

}  // namespace

HeadExchange::HeadExchange(const AttentionShape& shape, const Cuts& cuts, i64 rank, i64 size,
                           const std::string& label)
    : shape_(shape), me_(rank), my_rows_(cuts.rows(rank)), rows_(0) {
  const i64 first = rank / size * size;
  std::vector<HeadRange> heads_of;
  for (i64 i = 0; i < size; ++i) {
    heads_of.push_back(head_range(shape.heads, shape.kv_heads, size, i));
    if (heads_of.back().heads() > 0) heads_.push_back(heads_of.back());
  }
  mine_ = heads_of[static_cast<std::size_t>(rank - first)];

  const Cuts groups = cuts_of_groups(cuts, size);
  for (i64 r = first; r < first + size; ++r) {
    for (const RowRange& range : cuts.ranges(r)) {
      to_stream_.add({.from = rows_, .to = groups.place(range.begin).row, .rows = range.rows()});
      rows_ += range.rows();
    }
  }

  // From row shards to head shards, when a row takes so many elements for each rank.
  std::vector<i64> rows_of;
  for (i64 r = 0; r < cuts.ranks(); ++r) rows_of.push_back(cuts.rows(r));
  const auto for_heads = [&](auto&& columns) {
    std::vector<i64> columns_of;
    for (i64 r = 0; r < cuts.ranks(); ++r)
      columns_of.push_back(columns(heads_of[static_cast<std::size_t>(r % size)]));
    return Counts::product(rows_of, columns_of, size);
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

// ---- what comes from the ranks of the group lies in their order

void HeadExchange::receive(Tensor in_order, const Exchange& exchange, Tensor send, const char* label,
                           const Workspace& w) const {
  if (to_stream_.empty()) return exchange.run(send, in_order, w.group, w.stream);
  const ArenaScope scope(w.scratch);
  const Tensor received = w.scratch.take(in_order.dtype(), in_order.shape(), label);
  exchange.run(send, received, w.group, w.stream);
  to_stream_.forth(in_order, received, w.stream);
}

void HeadExchange::send(Tensor received, const Exchange& exchange, Tensor in_order, const char* label,
                        const Workspace& w) const {
  if (to_stream_.empty()) return exchange.run(in_order, received, w.group, w.stream);
  const ArenaScope scope(w.scratch);
  const Tensor sent = w.scratch.take(in_order.dtype(), in_order.shape(), label);
  to_stream_.back(sent, in_order, w.stream);
  exchange.run(sent, received, w.group, w.stream);
}

// ---- forward: q, k, v to heads; result to rows

Tensor HeadExchange::to_heads(Tensor qkv, const Workspace& w) const {
  const DType dtype = qkv.dtype();
  const i64 d = shape_.width;
  const Tensor mine = w.saved.take(dtype, {rows_, mine_.heads() * d}, "q, k, v of my heads");
  const ArenaScope scope(w.scratch);
  Tensor send = w.scratch.take(dtype, {qkv_to_heads_.counts.total_sent_by(me_)}, "q, k, v to send");
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, d);
  Blocks blocks(send);
  for (const HeadRange& h : heads_) {
    const QkvHeads to(blocks.next(my_rows_, h.heads() * d), h.q, h.kv, d);
    ops::copy_matrix(to.q.matrix, x.q.range(h.first_q, h.q).matrix, w.stream);
    ops::copy_matrix(to.k.matrix, x.k.range(h.first_kv, h.kv).matrix, w.stream);
    ops::copy_matrix(to.v.matrix, x.v.range(h.first_kv, h.kv).matrix, w.stream);
  }
  receive(mine, qkv_to_heads_, send, "q, k, v received", w);
  return mine;
}

void HeadExchange::to_rows(Tensor o, Tensor o_heads, const Workspace& w) const {
  const i64 d = shape_.width;
  const ArenaScope scope(w.scratch);
  Tensor received =
      w.scratch.take(o.dtype(), {result_to_rows_.counts.total_received_by(me_)}, "attention result received");
  send(received, result_to_rows_, o_heads, "attention result to send", w);
  const Heads o_of(o, shape_.heads, d);
  Blocks blocks(received);
  for (const HeadRange& h : heads_)
    ops::copy_matrix(o_of.range(h.first_q, h.q).matrix, blocks.next(my_rows_, h.q * d), w.stream);
}

// ---- backward: d_o to heads, with the bits of delta as further columns; dq, dk, dv to rows

HeadExchange::ResultGradient HeadExchange::gradient_to_heads(Tensor d_o, Tensor o, const Workspace& w) const {
  const DType dtype = d_o.dtype(), sums = statistics_of(dtype);
  const i64 d = shape_.width, delta_width = size_of(sums) / size_of(dtype);
  const Exchange& exchange = gradient_to_heads_[static_cast<std::size_t>(delta_width) - 1];
  const Tensor d_o_heads =
      w.scratch.take(dtype, {rows_, mine_.q * (d + delta_width)}, "gradient of attention result of my heads");
  {
    const ArenaScope sending(w.scratch);
    const Tensor delta = w.scratch.take(sums, {my_rows_, shape_.heads}, "attention delta");
    ops::attention_delta(delta, Heads(d_o, shape_.heads, d), Heads(o, shape_.heads, d), w.stream);
    const Tensor send =
        w.scratch.take(dtype, {exchange.counts.total_sent_by(me_)}, "gradient of attention result to send");
    Blocks blocks(send);
    for (const HeadRange& h : heads_) {
      const Matrix to = blocks.next(my_rows_, h.q * (d + delta_width));
      ops::copy_matrix(to.columns(0, h.q * d), Matrix(d_o).columns(h.first_q * d, h.q * d), w.stream);
      ops::copy_matrix(to.columns(h.q * d, h.q * delta_width),
                       seen_as(delta, dtype).columns(h.first_q * delta_width, h.q * delta_width), w.stream);
    }
    receive(d_o_heads, exchange, send, "gradient of attention result received", w);
  }
  const Matrix both(d_o_heads), delta_bits = both.columns(mine_.q * d, mine_.q * delta_width);
  if (sums == dtype) return {both.columns(0, mine_.q * d), delta_bits};
  const Tensor delta = w.scratch.take(sums, {rows_, mine_.q}, "attention delta");
  ops::copy_matrix(seen_as(delta, dtype), delta_bits, w.stream);
  return {both.columns(0, mine_.q * d), delta};
}

void HeadExchange::gradient_to_rows(Tensor d_qkv, Tensor d_heads, const Workspace& w) const {
  const i64 d = shape_.width;
  const ArenaScope scope(w.scratch);
  Tensor received = w.scratch.take(d_qkv.dtype(), {d_qkv_to_rows_.counts.total_received_by(me_)},
                                   "gradient of q, k, v received");
  send(received, d_qkv_to_rows_, d_heads, "gradient of q, k, v to send", w);
  const Heads dq(Matrix(d_qkv).columns(0, shape_.q_columns()), shape_.heads, d);
  const RowSums d_kv(Matrix(d_qkv).columns(shape_.q_columns(), shape_.kv_columns()), w);
  const KvHeads dx(d_kv.sums(), shape_.kv_heads, d);
  Blocks blocks(received);
  i64 kv_seen = 0;  // KV heads [0, kv_seen) hold a first term; ranks come in ascending order of heads
  for (const HeadRange& h : heads_) {
    const QkvHeads from(blocks.next(my_rows_, h.heads() * d), h.q, h.kv, d);
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

}  // namespace longsight::parallel
