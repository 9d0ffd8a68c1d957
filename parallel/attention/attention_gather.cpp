// Gather attention: K and V of the sequences that a rank's queries touch come to it, as far as a causal mask,
// a window and prefixes let it see; backward sums dK and dV back to their owners, in rank order.
#include <algorithm>
#include <optional>

#include "parallel/attention/attention_heads.h"
#include "parallel/attention/attention_spans.h"
#include "parallel/attention/attention_tile.h"
#include "parallel/attention/row_moves.h"
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

  i64 needed_rows() const { return rows_of(needed_); }
  KvHeads heads_of(Matrix kv, RowRange rows) const {
    return {kv.row_range(rows.begin, rows.rows()), shape_.kv_heads, shape_.width};
  }
  ops::AttentionProblem problem(const AttentionTile& tile) const { return all_heads(shape_, tile.spans); }
  Heads queries_of(Matrix m, const AttentionTile& tile) const {
    return {m.row_range(tile.q.begin, tile.q.rows()), shape_.heads, shape_.width};
  }

  std::vector<RowRange> needed_;  // rows whose keys this rank needs
  std::vector<RowRange> read_;    // of this rank's rows, counted from its first: reader by reader
  i64 sent_rows_ = 0;             // of all readers
  mutable std::optional<IndexList> read_rows_;  // made when they are first needed
  TwoWays kv_;                                  // elements of keys and values, from owner to reader
  RowMoves to_stream_;                // of what comes, from the order of its owners to that of the stream
  std::vector<AttentionTile> tiles_;  // of each of this rank's ranges
};

GatherAttention::GatherAttention(const AttentionShape& shape, const AttentionStream& stream, i64 rank,
                                 const std::string& label)
    : AttentionStrategy(shape, stream, rank) {
  std::vector<std::vector<RowRange>> held, needed;
  for (i64 r = 0; r < ranks(); ++r) {
    held.push_back(stream.cuts.ranges(r));
    std::vector<RowRange> seen;
    for (const RowRange& queries : held.back()) seen.push_back(needed_keys(shape, stream, queries));
    needed.push_back(joined(std::move(seen)));
  }
  needed_ = needed[static_cast<std::size_t>(me())];
  const std::vector<Piece> keys = pieces_of(needed_), mine = pieces_of(held[static_cast<std::size_t>(me())]);
  for (const std::vector<RowRange>& of_reader : needed) {
    for (const Piece& piece : mine) {
      for (const RowRange& range : of_reader) {
        const RowRange both = common_rows(piece.rows, range);
        if (both.rows() == 0) continue;
        const i64 first = piece.first + both.begin - piece.rows.begin;
        read_.push_back({first, first + both.rows()});
        sent_rows_ += both.rows();
      }
    }
  }
  i64 arrived = 0;
  for (const std::vector<RowRange>& of_owner : held) {
    for (const RowRange& range : of_owner) {
      for (const Piece& piece : keys) {
        const RowRange both = common_rows(piece.rows, range);
        if (both.rows() == 0) continue;
        to_stream_.add(
            {.from = arrived, .to = piece.first + both.begin - piece.rows.begin, .rows = both.rows()});
        arrived += both.rows();
      }
    }
  }
  for (const Piece& queries : mine) {
    for (const Piece& piece : keys) {
      // All that a range of queries sees lies in one of the pieces.
      std::optional<AttentionTile> tile = attention_tile(shape, stream, queries, piece);
      if (tile) tiles_.push_back(std::move(*tile));
    }
  }
  const Counts elements = Counts::common(held, needed).times(shape.kv_columns());
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
  const Tensor all = w.saved.take(qkv.dtype(), {needed_rows(), columns}, "gathered keys and values");
  const ArenaScope scope(w.scratch);
  const Matrix kv = Matrix(qkv).columns(shape_.q_columns(), columns);
  Tensor send = w.scratch.take(qkv.dtype(), {sent_rows_, columns}, "keys and values to send");
  ops::gather_rows(send, kv, read_rows(w.stream), w.stream);
  if (to_stream_.empty()) {
    kv_.forth.run(send, all, w.group, w.stream);
  } else {
    const Tensor received = w.scratch.take(qkv.dtype(), all.shape(), "keys and values received");
    kv_.forth.run(send, received, w.group, w.stream);
    to_stream_.forth(all, received, w.stream);
  }
  return all;
}

void GatherAttention::forward_again(Tensor lse, Tensor qkv, const Workspace& w) {
  w.frames.push(GatherFrame{.qkv = qkv, .kv = gathered(qkv, w), .lse = lse});
}

void GatherAttention::forward(Tensor o, Tensor lse, Tensor qkv, const Workspace& w) {
  const GatherFrame frame{.qkv = qkv, .kv = gathered(qkv, w), .lse = lse};
  const Matrix q = Matrix(qkv).columns(0, shape_.q_columns());
  for (const AttentionTile& tile : tiles_) {
    const KvHeads kv = heads_of(frame.kv, tile.k);
    ops::attention(queries_of(o, tile), Matrix(lse).row_range(tile.q.begin, tile.q.rows()),
                   queries_of(q, tile), kv.k, kv.v, problem(tile), w.scratch, w.stream);
  }
  w.frames.push(frame);
}

void GatherAttention::backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace& w) {
  const auto frame = w.frames.pop<GatherFrame>();
  const i64 columns = shape_.kv_columns(), q_columns = shape_.q_columns();
  const DType dtype = d_o.dtype();
  const ArenaScope scope(w.scratch);
  Tensor d_kv = w.scratch.take(dtype, {needed_rows(), columns}, "gradient of gathered keys and values");
  {
    const ArenaScope inner(w.scratch);
    Tensor delta = w.scratch.take(statistics_of(dtype), {my_rows(), shape_.heads}, "attention delta");
    ops::attention_delta(delta, Heads(d_o, shape_.heads, shape_.width), Heads(o, shape_.heads, shape_.width),
                         w.stream);
    const Matrix q = Matrix(frame.qkv).columns(0, q_columns), dq = Matrix(d_qkv).columns(0, q_columns);
    const auto attend = [&](const AttentionTile& tile, Matrix d_keys) {
      const KvHeads kv = heads_of(frame.kv, tile.k), dkv(d_keys, shape_.kv_heads, shape_.width);
      const auto rows = [&](const Tensor& x) { return Matrix(x).row_range(tile.q.begin, tile.q.rows()); };
      ops::attention_backward(queries_of(dq, tile), dkv.k, dkv.v, queries_of(d_o, tile), rows(delta),
                              rows(frame.lse), queries_of(q, tile), kv.k, kv.v, problem(tile), w.scratch,
                              w.stream);
    };
    if (tiles_.size() == 1) {
      attend(tiles_.front(), d_kv);
    } else {  // keys that several of this rank's ranges see
      i64 most = 0;
      for (const AttentionTile& tile : tiles_) most = std::max(most, tile.k.rows());
      const Tensor part = w.scratch.take(dtype, {most, columns}, "gradient of the keys of a range");
      const RowSums sums(d_kv, w);
      ops::zero_matrix(sums.sums(), w.stream);
      for (const AttentionTile& tile : tiles_) {
        const Tensor some = part.row_range(0, tile.k.rows());
        attend(tile, some);
        ops::add_matrix(sums.sums().row_range(tile.k.begin, tile.k.rows()), some, w.stream);
      }
      sums.finish();
    }
  }
  Tensor received = w.scratch.take(dtype, {sent_rows_, columns}, "key and value gradients received");
  if (to_stream_.empty()) {
    kv_.back.run(d_kv, received, w.group, w.stream);
  } else {
    const Tensor send = w.scratch.take(dtype, d_kv.shape(), "key and value gradients to send");
    to_stream_.back(send, d_kv, w.stream);
    kv_.back.run(send, received, w.group, w.stream);
  }
  const RowSums d_mine(Matrix(d_qkv).columns(q_columns, columns), w);
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
