// Gather attention: K and V of the sequences that a rank's queries touch come to it, as far as a causal mask,
// a window and prefixes let it see; backward sums dK and dV back to their owners, in rank order.
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

class GatherAttention final : public AttentionStrategy {
 public:
  GatherAttention(const AttentionShape&, const AttentionStream&, ProcessGroup&, const std::string& label);

  bool keeps_projection() const override { return true; }
  void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) override;
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) override;
  std::vector<double> head_pairs() const override { return pairs_of_rows(shape_, stream_); }
  AttentionMemory memory(i64 rank, DType, int threads) const override;

 private:
  i64 me() const { return group_.rank(); }
  i64 needed(i64 rank) const { return needed_[static_cast<std::size_t>(rank)].rows(); }
  ops::AttentionProblem problem() const;

  std::vector<RowRange> needed_;           // by rank: rows whose keys it needs
  Counts rows_;                            // from owner to reader
  std::vector<RowRange> read_;             // of this rank's rows, counted from its first: by reader
  std::vector<ops::AttentionSpan> spans_;  // of this rank
};

GatherAttention::GatherAttention(const AttentionShape& shape, const AttentionStream& stream,
                                 ProcessGroup& group, const std::string& label)
    : AttentionStrategy(shape, stream, group) {
  std::vector<RowRange> held;
  const RowRange mine = range(me());
  for (i64 r = 0; r < group.size(); ++r) {
    held.push_back(range(r));
    needed_.push_back(needed_keys(shape, stream, range(r)));
    const i64 begin = std::clamp(needed_.back().begin, mine.begin, mine.end);
    read_.push_back({begin - mine.begin, std::clamp(needed_.back().end, begin, mine.end) - mine.begin});
  }
  rows_ = Counts::common(std::move(held), needed_);
  spans_ = attention_spans(shape, stream, mine, needed_[static_cast<std::size_t>(me())]);
  const Counts elements = rows_.times(shape.kv_columns());
  forward_ = {all_to_all(label + " keys and values", elements)};
  backward_ = {all_to_all(label + " key and value gradients", elements.transposed())};
}

ops::AttentionProblem GatherAttention::problem() const {
  return {.spans = spans_,
          .heads = {.first_q = 0, .group = shape_.heads / shape_.kv_heads, .first_kv = 0},
          .scale = shape_.scale()};
}

void GatherAttention::forward(Tensor o, Tensor qkv, const AttentionWorkspace& w) {
  const i64 columns = shape_.kv_columns();
  GatherFrame frame{.qkv = qkv,
                    .kv = w.saved.take(qkv.dtype(), {needed(me()), columns}, "gathered keys and values"),
                    .lse = w.saved.take(qkv.dtype(), {rows(me()), shape_.heads}, "attention log-sums")};
  {
    const ArenaScope scope(w.scratch);
    const Matrix kv = Matrix(qkv).columns(shape_.q_columns(), columns);
    Tensor send =
        w.scratch.take(qkv.dtype(), {rows_.total_sent_by(me()), columns}, "keys and values to send");
    i64 row = 0;
    for (const RowRange& read : read_) {
      ops::copy_matrix(send.row_range(row, read.rows()), kv.row_range(read.begin, read.rows()), w.stream);
      row += read.rows();
    }
    forward_[0].run(send, frame.kv, group_, w.stream);
  }
  const QkvHeads x(qkv, shape_.heads, shape_.kv_heads, shape_.width);
  const KvHeads kv(frame.kv, shape_.kv_heads, shape_.width);
  ops::attention(Heads(o, shape_.heads, shape_.width), frame.lse, x.q, kv.k, kv.v, problem(), w.scratch,
                 w.stream);
  w.frames.push(frame);
}

void GatherAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace& w) {
  const auto frame = w.frames.pop<GatherFrame>();
  const i64 columns = shape_.kv_columns();
  const DType dtype = d_o.dtype();
  const ArenaScope scope(w.scratch);
  Tensor d_kv = w.scratch.take(dtype, {needed(me()), columns}, "gradient of gathered keys and values");
  {
    const ArenaScope inner(w.scratch);
    Tensor delta = w.scratch.take(dtype, {rows(me()), shape_.heads}, "attention delta");
    const Heads d_o_heads(d_o, shape_.heads, shape_.width);
    ops::attention_delta(delta, d_o_heads, Heads(o, shape_.heads, shape_.width), w.stream);
    const QkvHeads x(frame.qkv, shape_.heads, shape_.kv_heads, shape_.width);
    const QkvHeads dx(d_qkv, shape_.heads, shape_.kv_heads, shape_.width);
    const KvHeads kv(frame.kv, shape_.kv_heads, shape_.width);
    const KvHeads dkv(d_kv, shape_.kv_heads, shape_.width);
    ops::attention_backward(dx.q, dkv.k, dkv.v, d_o_heads, delta, frame.lse, x.q, kv.k, kv.v, problem(),
                            w.scratch, w.stream);
  }
  Tensor received =
      w.scratch.take(dtype, {rows_.total_sent_by(me()), columns}, "key and value gradients received");
  backward_[0].run(d_kv, received, group_, w.stream);
  const Matrix d_mine = Matrix(d_qkv).columns(shape_.q_columns(), columns);
  for (i64 row = 0; row < rows(me()); ++row) {
    std::memset(d_mine.row_range(row, 1).data, 0, static_cast<std::size_t>(columns * size_of(dtype)));
  }
  i64 row = 0;
  for (const RowRange& read : read_) {
    ops::add_matrix(d_mine.row_range(read.begin, read.rows()), received.row_range(row, read.rows()),
                    w.stream);
    row += read.rows();
  }
}

AttentionMemory GatherAttention::memory(i64 rank, DType dtype, int threads) const {
  const i64 gathered = Arena::bytes_of(dtype, needed(rank) * shape_.kv_columns());
  const i64 sent = Arena::bytes_of(dtype, forward_[0].counts.total_sent_by(rank));
  const i64 log_sums = Arena::bytes_of(dtype, rows(rank) * shape_.heads);  // and delta
  const auto kernels = kernel_scratch(shape_, stream_, range(rank), needed_[static_cast<std::size_t>(rank)],
                                      shape_.heads, shape_.kv_heads, dtype, threads);
  return {.saved = gathered + log_sums,
          .forward = std::max(sent, kernels.forward),
          .backward = gathered + std::max(log_sums + kernels.backward, sent)};
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_gather(const AttentionShape& shape, const AttentionStream& stream,
                                               ProcessGroup& group, const std::string& label) {
  return std::make_unique<GatherAttention>(shape, stream, group, label);
}

}  // namespace longsight::parallel
