#include "parallel/attention_gather.h"

#include <algorithm>

#include "parallel/attention_heads.h"
#include "parallel/attention_spans.h"
#include "runtime/ops/rows.h"

namespace longsight::parallel {
namespace {

struct GatherFrame {
  Tensor qkv;  // this rank's, as forward got it
  Tensor kv;   // [needed rows, 2 Hkv D]
  Tensor lse;
};

struct KvHeads {
  KvHeads(Matrix m, i64 kv_heads, i64 width)
      : k(m.columns(0, kv_heads * width), kv_heads, width),
        v(m.columns(kv_heads * width, kv_heads * width), kv_heads, width) {}
  Heads k, v;
};

}  // namespace

GatherAttention::GatherAttention(AttentionShape shape, AttentionStream stream, ProcessGroup& group,
                                 std::string label)
    : shape_(shape),
      group_(group),
      forth_(label + " keys and values"),
      back_(label + " key and value gradients"),
      rows_(stream.cuts.rows(group.rank())),
      row_counts_(group.size()) {
  for (i64 reader = 0; reader < group.size(); ++reader) {
    const RowRange want = needed_keys(shape, stream, {stream.cuts.begin(reader), stream.cuts.end(reader)});
    for (i64 owner = 0; owner < group.size(); ++owner) {
      const i64 first = std::max(want.begin, stream.cuts.begin(owner)),
                last = std::min(want.end, stream.cuts.end(owner));
      row_counts_.at(owner, reader) = std::max<i64>(0, last - first);
      if (owner == group.rank())
        offsets_.push_back(std::clamp<i64>(first - stream.cuts.begin(owner), 0, rows_));
    }
  }
  const RowRange queries{stream.cuts.begin(group.rank()), stream.cuts.end(group.rank())};
  const RowRange keys = needed_keys(shape, stream, queries);
  needed_rows_ = keys.end - keys.begin;
  spans_ = attention_spans(shape, stream, queries, keys);
}

ops::AttentionProblem GatherAttention::problem() const {
  return {.spans = spans_,
          .heads = {.first_q = 0, .group = shape_.heads / shape_.kv_heads, .first_kv = 0},
          .scale = shape_.scale()};
}

void GatherAttention::forward(Tensor o, Tensor qkv, const AttentionWorkspace& w) {
  const i64 me = group_.rank(), columns = shape_.kv_columns();
  const CountMatrix counts = row_counts_.times(columns);
  GatherFrame frame{.qkv = qkv,
                    .kv = w.saved.take(qkv.dtype(), {needed_rows_, columns}, "gathered keys and values"),
                    .lse = w.saved.take(qkv.dtype(), {rows_, shape_.heads}, "attention log-sums")};
  {
    const ArenaScope scope(w.scratch);
    const Matrix kv = Matrix(qkv).columns(shape_.q_columns(), columns);
    Tensor send = w.scratch.take(qkv.dtype(), {counts.total_sent_by(me) / std::max<i64>(columns, 1), columns},
                                 "keys and values to send");
    i64 row = 0;
    for (i64 reader = 0; reader < group_.size(); ++reader) {
      const i64 n = row_counts_.at(me, reader);
      ops::copy_matrix(send.row_range(row, n), kv.row_range(offsets_[static_cast<std::size_t>(reader)], n),
                       w.stream);
      row += n;
    }
    group_.all_to_all_v(send.data(), counts.sent_by(me), frame.kv.data(), counts.received_by(me), qkv.dtype(),
                        w.stream, forth_.c_str());
  }
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, shape_.width);
  const KvHeads kv(frame.kv, shape_.kv_heads, shape_.width);
  ops::attention(Heads(o, shape_.heads, shape_.width), frame.lse, x.q, kv.k, kv.v, problem(), w.scratch,
                 w.stream);
  w.frames.push(frame);
}

void GatherAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace& w) {
  const auto frame = w.frames.pop<GatherFrame>();
  const i64 me = group_.rank(), columns = shape_.kv_columns();
  const DType dtype = d_o.dtype();
  const CountMatrix counts = row_counts_.times(columns).transposed();
  const ArenaScope scope(w.scratch);
  Tensor d_kv = w.scratch.take(dtype, {needed_rows_, columns}, "gradient of gathered keys and values");
  {
    const ArenaScope inner(w.scratch);
    Tensor delta = w.scratch.take(dtype, {rows_, shape_.heads}, "attention delta");
    const Heads d_o_heads(d_o, shape_.heads, shape_.width);
    ops::attention_delta(delta, d_o_heads, Heads(o, shape_.heads, shape_.width), w.stream);
    const QkvHeads x(frame.qkv, shape_.heads, shape_.kv_heads, shape_.width);
    const QkvHeads dx(d_qkv, shape_.heads, shape_.kv_heads, shape_.width);
    const KvHeads kv(frame.kv, shape_.kv_heads, shape_.width);
    const KvHeads dkv(d_kv, shape_.kv_heads, shape_.width);
    ops::attention_backward(dx.q, dkv.k, dkv.v, d_o_heads, delta, frame.lse, x.q, kv.k, kv.v, problem(),
                            w.scratch, w.stream);
  }
  Tensor received = w.scratch.take(dtype, {counts.total_received_by(me) / std::max<i64>(columns, 1), columns},
                                   "key and value gradients received");
  group_.all_to_all_v(d_kv.data(), counts.sent_by(me), received.data(), counts.received_by(me), dtype,
                      w.stream, back_.c_str());
  const Matrix d_mine = Matrix(d_qkv).columns(shape_.q_columns(), columns);
  for (i64 row = 0; row < rows_; ++row) {
    std::memset(d_mine.row_range(row, 1).data, 0, static_cast<std::size_t>(columns * size_of(dtype)));
  }
  i64 row = 0;
  for (i64 reader = 0; reader < group_.size(); ++reader) {
    const i64 n = row_counts_.at(me, reader);
    ops::add_matrix(d_mine.row_range(offsets_[static_cast<std::size_t>(reader)], n),
                    received.row_range(row, n), w.stream);
    row += n;
  }
}

void GatherAttention::schedule_forward(Schedule& schedule, DType dtype) const {
  schedule.add_all_to_all(group_.label(), forth_, dtype, row_counts_.times(shape_.kv_columns()));
}

void GatherAttention::schedule_backward(Schedule& schedule, DType dtype) const {
  schedule.add_all_to_all(group_.label(), back_, dtype, row_counts_.times(shape_.kv_columns()).transposed());
}

}  // namespace longsight::parallel
