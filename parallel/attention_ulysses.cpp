#include "parallel/attention_ulysses.h"

#include "parallel/attention_heads.h"
#include "parallel/attention_spans.h"
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
  explicit Blocks(Tensor buffer) : next_(static_cast<std::byte*>(buffer.data())), dtype_(buffer.dtype()) {}
  Matrix next(i64 rows, i64 columns) {
    const Matrix block(next_, dtype_, rows, columns, columns);
    next_ += rows * columns * size_of(dtype_);
    return block;
  }

 private:
  std::byte* next_;
  DType dtype_;
};

}  // namespace

UlyssesAttention::UlyssesAttention(AttentionShape shape, AttentionStream stream, ProcessGroup& group,
                                   std::string label)
    : shape_(shape),
      cuts_(stream.cuts),
      group_(group),
      forth_(label + " to heads"),
      back_(label + " to rows") {
  for (i64 r = 0; r < group.size(); ++r)
    heads_.push_back(head_range(shape.heads, shape.kv_heads, group.size(), r));
  spans_ = attention_spans(shape, stream, {0, total()}, {0, total()});
}

ops::AttentionProblem UlyssesAttention::problem() const {
  return {.spans = spans_,
          .heads = {.first_q = mine().first_q,
                    .group = shape_.heads / shape_.kv_heads,
                    .first_kv = mine().first_kv},
          .scale = shape_.scale()};
}

template <class F>
CountMatrix UlyssesAttention::to_heads(F&& columns) const {
  CountMatrix counts(group_.size());
  for (i64 from = 0; from < counts.ranks(); ++from) {
    for (i64 to = 0; to < counts.ranks(); ++to) {
      counts.at(from, to) = cuts_.rows(from) * columns(heads_[static_cast<std::size_t>(to)]);
    }
  }
  return counts;
}

// ---- forward: q, k, v to heads; attention; result to rows

void UlyssesAttention::forward(Tensor o, Tensor qkv, const AttentionWorkspace& w) {
  const DType dtype = qkv.dtype();
  const i64 me = group_.rank(), d = shape_.width;
  const CountMatrix qkv_counts = to_heads([&](const HeadRange& h) { return h.heads() * d; });
  const CountMatrix o_counts = to_heads([&](const HeadRange& h) { return h.q * d; }).transposed();

  UlyssesFrame frame{.qkv = w.saved.take(dtype, {total(), mine().heads() * d}, "q, k, v of my heads"),
                     .lse = w.saved.take(dtype, {total(), mine().q}, "attention log-sums")};
  {
    const ArenaScope scope(w.scratch);
    Tensor send = w.scratch.take(dtype, {qkv_counts.total_sent_by(me)}, "q, k, v to send");
    const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, d);
    Blocks blocks(send);
    for (const HeadRange& h : heads_) {
      const QkvHeads to(blocks.next(rows(), h.heads() * d), h.q, h.kv, d);
      ops::copy_matrix(to.q.matrix, x.q.range(h.first_q, h.q).matrix, w.stream);
      ops::copy_matrix(to.k.matrix, x.k.range(h.first_kv, h.kv).matrix, w.stream);
      ops::copy_matrix(to.v.matrix, x.v.range(h.first_kv, h.kv).matrix, w.stream);
    }
    group_.all_to_all_v(send.data(), qkv_counts.sent_by(me), frame.qkv.data(), qkv_counts.received_by(me),
                        dtype, w.stream, forth_.c_str());
  }
  const ArenaScope scope(w.scratch);
  Tensor o_heads = w.scratch.take(dtype, {total(), mine().q * d}, "attention result of my heads");
  const QkvHeads mine_qkv(frame.qkv, mine().q, mine().kv, d);
  ops::attention(Heads(o_heads, mine().q, d), frame.lse, mine_qkv.q, mine_qkv.k, mine_qkv.v, problem(),
                 w.scratch, w.stream);

  Tensor received = w.scratch.take(dtype, {o_counts.total_received_by(me)}, "attention result received");
  group_.all_to_all_v(o_heads.data(), o_counts.sent_by(me), received.data(), o_counts.received_by(me), dtype,
                      w.stream, back_.c_str());
  const Heads o_of(o, shape_.heads, d);
  Blocks blocks(received);
  for (const HeadRange& h : heads_)
    ops::copy_matrix(o_of.range(h.first_q, h.q).matrix, blocks.next(rows(), h.q * d), w.stream);
  w.frames.push(frame);
}

// ---- backward: d_o to heads, with delta as further columns; attention backward; dq, dk, dv to rows

void UlyssesAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace& w) {
  const auto frame = w.frames.pop<UlyssesFrame>();
  const DType dtype = d_o.dtype();
  const i64 me = group_.rank(), d = shape_.width;
  const CountMatrix o_counts = to_heads([&](const HeadRange& h) { return h.q * (d + 1); });
  const CountMatrix qkv_counts = to_heads([&](const HeadRange& h) { return h.heads() * d; }).transposed();
  const ArenaScope scope(w.scratch);
  Tensor d_mine = w.scratch.take(dtype, {total(), mine().heads() * d}, "gradient of q, k, v of my heads");
  {
    const ArenaScope inner(w.scratch);
    Tensor d_o_heads =
        w.scratch.take(dtype, {total(), mine().q * (d + 1)}, "gradient of attention result of my heads");
    {
      const ArenaScope sending(w.scratch);
      Tensor delta = w.scratch.take(dtype, {rows(), shape_.heads}, "attention delta");
      ops::attention_delta(delta, Heads(d_o, shape_.heads, d), Heads(o, shape_.heads, d), w.stream);
      Tensor send =
          w.scratch.take(dtype, {o_counts.total_sent_by(me)}, "gradient of attention result to send");
      Blocks blocks(send);
      for (const HeadRange& h : heads_) {
        const Matrix to = blocks.next(rows(), h.q * (d + 1));
        ops::copy_matrix(to.columns(0, h.q * d), Matrix(d_o).columns(h.first_q * d, h.q * d), w.stream);
        ops::copy_matrix(to.columns(h.q * d, h.q), Matrix(delta).columns(h.first_q, h.q), w.stream);
      }
      group_.all_to_all_v(send.data(), o_counts.sent_by(me), d_o_heads.data(), o_counts.received_by(me),
                          dtype, w.stream, forth_.c_str());
    }
    const Matrix both(d_o_heads);
    const Heads d_o_mine(both.columns(0, mine().q * d), mine().q, d);
    const Matrix delta_mine = both.columns(mine().q * d, mine().q);
    const QkvHeads x(frame.qkv, mine().q, mine().kv, d);
    const QkvHeads dx(d_mine, mine().q, mine().kv, d);
    ops::attention_backward(dx.q, dx.k, dx.v, d_o_mine, delta_mine, frame.lse, x.q, x.k, x.v, problem(),
                            w.scratch, w.stream);
  }
  Tensor received = w.scratch.take(dtype, {qkv_counts.total_received_by(me)}, "gradient of q, k, v received");
  group_.all_to_all_v(d_mine.data(), qkv_counts.sent_by(me), received.data(), qkv_counts.received_by(me),
                      dtype, w.stream, back_.c_str());
  const QkvHeads dx(d_qkv, shape_.heads, shape_.kv_heads, d);
  Blocks blocks(received);
  i64 kv_seen = 0;  // KV heads [0, kv_seen) hold a first term; ranks come in ascending order of heads
  for (const HeadRange& h : heads_) {
    const QkvHeads from(blocks.next(rows(), h.heads() * d), h.q, h.kv, d);
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

void UlyssesAttention::schedule_forward(Schedule& schedule, DType dtype) const {
  const i64 d = shape_.width;
  schedule.add_all_to_all(group_.label(), forth_, dtype,
                          to_heads([&](const HeadRange& h) { return h.heads() * d; }));
  schedule.add_all_to_all(group_.label(), back_, dtype,
                          to_heads([&](const HeadRange& h) { return h.q * d; }).transposed());
}

void UlyssesAttention::schedule_backward(Schedule& schedule, DType dtype) const {
  const i64 d = shape_.width;
  schedule.add_all_to_all(group_.label(), forth_, dtype,
                          to_heads([&](const HeadRange& h) { return h.q * (d + 1); }));
  schedule.add_all_to_all(group_.label(), back_, dtype,
                          to_heads([&](const HeadRange& h) { return h.heads() * d; }).transposed());
}

}  // namespace longsight::parallel
