// Gather attention: K and V of the sequences that a rank's queries touch come to it, as far as a causal mask,
// a window and prefixes let it see; backward sums dK and dV back to their owners, in rank order.
#include <algorithm>
#include <optional>

#include "parallel/attention/attention_heads.h"
#include "parallel/attention/attention_spans.h"
#include "parallel/attention/row_sums.h"

namespace longsight::parallel {
namespace {

struct GatherFrame {
  Tensor qkv;  // this rank's, as forward got it
  Tensor kv;   // [needed rows, 2 Hkv D]
  Tensor lse;
};

class GatherAttention final : public AttentionStrategy {
 public:
  GatherAttention(const AttentionShape&, const AttentionStream&, i64 rank, const std::string& label);

  bool keeps_projection() const override { return true; }
  Shape log_sums() const override { return {my_rows(), shape_.heads}; }
  void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace&) override;
  void forward_again(Tensor lse, Tensor qkv, const Workspace&) override;
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) override;
  void add_to(Upload& upload) const override { upload.add(read_rows({})); }
  std::vector<double> head_pairs() const override { return pairs_of_rows(shape_, stream_); }

 private:
  Tensor gathered(Tensor qkv, const Workspace&) const;  // keys and values of the needed rows
  // This rank's rows as their readers get them, reader by reader; in a trace how many.
  IndexList read_rows(Stream stream) const;

  RowRange needed_;             // rows whose keys this rank needs
  std::vector<RowRange> read_;  // of this rank's rows, counted from its first: by reader that reads any
  i64 sent_rows_ = 0;           // of all readers
  mutable std::optional<IndexList> read_rows_;  // made when they are first needed
  TwoWays kv_;                                  // elements of keys and values, from owner to reader
  std::vector<ops::AttentionSpan> spans_;       // of this rank
};

GatherAttention::GatherAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank,
                                 const std::string& label)
    : AttentionStrategy(shape, stream, rank) {
  std::vector<RowRange> held, needed;
  const RowRange mine = range(me());
  for (i64 r = 0; r < ranks(); ++r) {
    held.push_back(range(r));
    needed.push_back(needed_keys(shape, stream, range(r)));
    const i64 begin = std::clamp(needed.back().begin, mine.begin, mine.end),
              end = std::clamp(needed.back().end, begin, mine.end);
    if (end > begin) read_.push_back({begin - mine.begin, end - mine.begin});
    sent_rows_ += end - begin;
  }
  needed_ = needed[static_cast<std::size_t>(me())];
  spans_ = attention_spans(shape, stream, mine, needed_);
  const Counts elements = Counts::common(std::move(held), std::move(needed)).times(shape.kv_columns());
  kv_ = {all_to_all(label + " keys and values", elements),
         all_to_all(label + " key and value gradients", elements.transposed())};
}

IndexList GatherAttention::read_rows(Stream stream) const {
  if (stream.backend == Backend::trace) return IndexList::counted(sent_rows_, my_rows());
  if (!read_rows_) {
    std::vector<i64> rows;
    for (const RowRange& read : read_) {
      for (i64 row = read.begin; row < read.end; ++row) rows.push_back(row);
    }
    read_rows_ = IndexList(std::move(rows), my_rows(), "rows that other ranks read");
  }
  return *read_rows_;
}

Tensor GatherAttention::gathered(Tensor qkv, const Workspace& w) const {
  const i64 columns = shape_.kv_columns();
  const Tensor all = w.saved.take(qkv.dtype(), {needed_.rows(), columns}, "gathered keys and values");
  const ArenaScope scope(w.scratch);
  const Matrix kv = Matrix(qkv).columns(shape_.q_columns(), columns);
  Tensor send = w.scratch.take(qkv.dtype(), {sent_rows_, columns}, "keys and values to send");
  ops::gather_rows(send, kv, read_rows(w.stream), w.stream);
  kv_.forth.run(send, all, w.group, w.stream);
  return all;
}

void GatherAttention::forward_again(Tensor lse, Tensor qkv, const Workspace& w) {
  w.frames.push(GatherFrame{.qkv = qkv, .kv = gathered(qkv, w), .lse = lse});
}

void GatherAttention::forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) {
  const GatherFrame frame{.qkv = qkv, .kv = gathered(qkv, w), .lse = lse};
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, shape_.width);
  const KvHeads kv(frame.kv, shape_.kv_heads, shape_.width);
  ops::attention(Heads(o, shape_.heads, shape_.width), frame.lse, x.q, kv.k, kv.v, all_heads(shape_, spans_),
                 w.scratch, w.stream);
  w.frames.push(frame);
}

void GatherAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<GatherFrame>();
  const i64 columns = shape_.kv_columns();
  const DType dtype = d_o.dtype();
  const ArenaScope scope(w.scratch);
  Tensor d_kv = w.scratch.take(dtype, {needed_.rows(), columns}, "gradient of gathered keys and values");
  {
    const ArenaScope inner(w.scratch);
    Tensor delta = w.scratch.take(statistics_of(dtype), {my_rows(), shape_.heads}, "attention delta");
    const Heads d_o_heads(d_o, shape_.heads, shape_.width);
    ops::attention_delta(delta, d_o_heads, Heads(o, shape_.heads, shape_.width), w.stream);
    const QkvHeads x(frame.qkv, shape_.heads, shape_.kv_heads, shape_.width);
    const QkvHeads dx(d_qkv, shape_.heads, shape_.kv_heads, shape_.width);
    const KvHeads kv(frame.kv, shape_.kv_heads, shape_.width);
    const KvHeads dkv(d_kv, shape_.kv_heads, shape_.width);
    ops::attention_backward(dx.q, dkv.k, dkv.v, d_o_heads, delta, frame.lse, x.q, kv.k, kv.v,
                            all_heads(shape_, spans_), w.scratch, w.stream);
  }
  Tensor received = w.scratch.take(dtype, {sent_rows_, columns}, "key and value gradients received");
  kv_.back.run(d_kv, received, w.group, w.stream);
  const RowSums d_mine(Matrix(d_qkv).columns(shape_.q_columns(), columns), w);
  ops::zero_matrix(d_mine.sums(), w.stream);
  ops::scatter_add_rows(d_mine.sums(), received, read_rows(w.stream), w.stream);
  d_mine.finish();
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_gather(const AttentionShape& shape, const AttentionStream& stream,
                                               i64 rank, const std::string& label) {
  return std::make_unique<GatherAttention>(shape, stream, rank, label);
}

}  // namespace longsight::parallel
