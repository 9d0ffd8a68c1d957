#include "parallel/attention/ring_pass.h"

#include <algorithm>

#include "parallel/attention/attention_heads.h"
#include "parallel/attention/attention_spans.h"
#include "parallel/attention/row_sums.h"
#include "runtime/ops/merge_attention.h"

namespace longsight::parallel {
namespace {

Matrix rows_of(Matrix m, RowRange rows) {
  return m.row_range(rows.begin, rows.rows());
}

// Rows of `part` within a matrix of the rows `all`.
Matrix rows_of(Matrix m, RowRange all, RowRange part) {
  return part.rows() == 0 ? m.row_range(0, 0) : m.row_range(part.begin - all.begin, part.rows());
}

void add_tile(std::vector<AttentionTile>& tiles, std::optional<AttentionTile> tile) {
  if (tile) tiles.push_back(std::move(*tile));
}

}  // namespace

RingPass::RingPass(const AttentionShape& shape, const AttentionStream& stream, i64 rank, i64 size,
                   const std::string& label)
    : shape_(shape),
      heads_(head_range(shape.heads, shape.kv_heads, size, rank % size)),
      size_(size),
      ranks_(stream.cuts.ranks()),
      blocks_(cuts_of_groups(stream.cuts, size)),
      me_(rank / size) {
  std::vector<std::vector<RowRange>> needed;
  for (i64 block = 0; block < blocks_.ranks(); ++block) {
    needed.emplace_back();
    for (const RowRange& range : blocks_.ranges(block))
      needed.back().push_back(needed_keys(shape, stream, range));
  }
  const std::vector<Piece> mine = pieces_of(blocks_.ranges(me_));
  for (const Piece& queries : mine) {
    for (const Piece& keys : mine)
      add_tile(&queries == &keys ? own_ : more_of_own_, attention_tile(shape, stream, queries, keys));
  }
  for (RingRound& route : ring_route(blocks_, needed, me_)) {
    Round round;
    round.keys = all_to_all(label + " keys and values", Counts::pairs(ranks_, elements(route.keys)));
    round.gradients =
        all_to_all(label + " key and value gradients", Counts::pairs(ranks_, elements(route.gradients)));
    for (Piece keys : pieces_of(blocks_.ranges(route.owner))) {
      const RowRange held = common_rows({keys.first, keys.first + keys.rows.rows()}, route.held);
      if (held.rows() == 0) continue;
      const i64 begin = keys.rows.begin + held.begin - keys.first;
      keys = {{begin, begin + held.rows()}, held.begin - route.held.begin};
      for (const Piece& queries : mine) add_tile(round.tiles, attention_tile(shape, stream, queries, keys));
    }
    round.route = std::move(route);
    rounds_.push_back(std::move(round));
  }
}

// Of blocks to elements of ranks: the same for each ring, times the columns of its heads.
std::vector<Counts::Pair> RingPass::elements(const std::vector<Counts::Pair>& rows) const {
  std::vector<Counts::Pair> all;
  for (const Counts::Pair& pair : rows) {
    for (i64 i = 0; i < size_; ++i) {
      const i64 columns = 2 * head_range(shape_.heads, shape_.kv_heads, size_, i).kv * shape_.width;
      all.push_back({pair.from * size_ + i, pair.to * size_ + i, checked_mul(pair.count, columns)});
    }
  }
  return all;
}

Matrix RingPass::keys_of(Matrix qkv) const {
  return qkv.columns(heads_.q * shape_.width, 2 * heads_.kv * shape_.width);
}

ops::AttentionProblem RingPass::problem(const AttentionTile& tile) const {
  return some_heads(shape_, heads_, tile.spans);
}

template <class Rows>
i64 RingPass::most(Rows&& rows) const {
  i64 most = 0;
  for (const AttentionTile& tile : more_of_own_) most = std::max(most, rows(tile));
  for (const Round& round : rounds_) {
    for (const AttentionTile& tile : round.tiles) most = std::max(most, rows(tile));
  }
  return most;
}

i64 RingPass::most_held() const {
  i64 most = 0;
  for (const Round& round : rounds_)
    most = std::max({most, round.route.sent.rows(), round.route.held.rows()});
  return most;
}

i64 RingPass::most_summed() const {
  i64 most = 0;
  for (const Round& round : rounds_) most = std::max(most, round.route.summed.rows());
  return most;
}

i64 RingPass::most_arriving() const {
  i64 most = 0;
  for (const Round& round : rounds_) most = std::max(most, round.route.arriving);
  return most;
}

std::vector<double> RingPass::head_pairs(const AttentionStream& stream) const {
  const std::vector<double> of_block =
      attention_pairs(stream.sequences, blocks_, shape_.causal, shape_.window, stream.prefixes);
  std::vector<double> pairs;
  for (i64 r = 0; r < ranks_; ++r)
    pairs.push_back(of_block[static_cast<std::size_t>(r / size_)] *
                    static_cast<double>(head_range(shape_.heads, shape_.kv_heads, size_, r % size_).q));
  return pairs;
}

// ---- keys and values, round the ring

RingPass::Travelling::Travelling(const RingPass& ring, Matrix mine, const Workspace& w) : w_(w) {
  const i64 rows = ring.most_held();
  for (Tensor& buffer : buffers_)
    buffer = w.scratch.take(mine.dtype, {rows, mine.cols}, "keys and values in the ring");
  held_ = buffers_[0];
  if (ring.rounds_.empty()) return;
  rows_ = ring.rounds_.front().route.sent;
  held_ = buffers_[0].row_range(0, rows_.rows());
  ops::copy_matrix(held_, rows_of(mine, rows_), w.stream);
}

Tensor RingPass::Travelling::next(const Round& round) {
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

void RingPass::forward(Matrix o, Matrix lse, Matrix qkv, const Workspace& w) const {
  const i64 d = shape_.width, q = heads_.q;
  const Matrix queries = qkv.columns(0, q * d), mine = keys_of(qkv);
  const auto attend = [&](Matrix result, Matrix result_lse, const AttentionTile& tile, Matrix keys) {
    const KvHeads kv(rows_of(keys, tile.k), heads_.kv, d);
    ops::attention(Heads(result, q, d), result_lse, Heads(rows_of(queries, tile.q), q, d), kv.k, kv.v,
                   problem(tile), w.scratch, w.stream);
  };
  for (const AttentionTile& tile : own_) attend(rows_of(o, tile.q), rows_of(lse, tile.q), tile, mine);
  if (!merges()) return;
  const ArenaScope scope(w.scratch);
  const RowSums merged(o, w);
  merged.begin_with_result();
  Travelling blocks(*this, mine, w);
  const i64 rows = most([](const AttentionTile& tile) { return tile.q.rows(); });
  const Tensor part = w.scratch.take(qkv.dtype, {rows, q * d}, "attention result of a block"),
               part_lse = w.scratch.take(lse.dtype, {rows, q}, "log-sums of a block");
  const auto merge = [&](const AttentionTile& tile, Matrix keys) {
    const Matrix some = part.row_range(0, tile.q.rows()), some_lse = part_lse.row_range(0, tile.q.rows());
    attend(some, some_lse, tile, keys);
    ops::merge_attention(Heads(rows_of(merged.sums(), tile.q), q, d), rows_of(lse, tile.q), Heads(some, q, d),
                         some_lse, w.stream);
  };
  for (const AttentionTile& tile : more_of_own_) merge(tile, mine);
  for (const Round& round : rounds_) {
    const Tensor held = blocks.next(round);
    for (const AttentionTile& tile : round.tiles) merge(tile, held);
  }
  merged.finish();
}

// ---- backward: the same rounds; what is added up travels as it is added up, in the statistics' type

void RingPass::backward(Matrix d_qkv, Matrix d_o, Matrix delta, Matrix lse, Matrix qkv,
                        const Workspace& w) const {
  const i64 d = shape_.width, q = heads_.q, columns = 2 * heads_.kv * d;
  const DType dtype = qkv.dtype, sum_type = statistics_of(dtype);
  const Matrix queries = qkv.columns(0, q * d), d_queries = d_qkv.columns(0, q * d), mine = keys_of(qkv),
               d_mine = keys_of(d_qkv);
  const auto attend = [&](Matrix dq, Matrix d_keys, const AttentionTile& tile, Matrix keys) {
    const KvHeads kv(rows_of(keys, tile.k), heads_.kv, d), d_kv(d_keys, heads_.kv, d);
    ops::attention_backward(Heads(dq, q, d), d_kv.k, d_kv.v, Heads(rows_of(d_o, tile.q), q, d),
                            rows_of(delta, tile.q), rows_of(lse, tile.q),
                            Heads(rows_of(queries, tile.q), q, d), kv.k, kv.v, problem(tile), w.scratch,
                            w.stream);
  };
  ops::zero_matrix(d_mine, w.stream);
  for (const AttentionTile& tile : own_)
    attend(rows_of(d_queries, tile.q), rows_of(d_mine, tile.k), tile, mine);
  if (!merges()) return;

  const ArenaScope scope(w.scratch);
  const RowSums all(d_qkv, w);
  all.begin_with_result();
  const Matrix dq_sums = all.sums().columns(0, q * d), d_mine_sums = keys_of(all.sums());
  Travelling blocks(*this, mine, w);
  const Tensor dq_part = w.scratch.take(dtype,
                                        {most([](const AttentionTile&tile) { return tile.q.rows(); }), q * d},
                                        "query gradient of a block"),
               d_kv_part = w.scratch.take(
                   dtype, {most([](const AttentionTile&tile) { return tile.k.rows(); }), columns},
                   "key and value gradients of a block"),
               sums =
                   w.scratch.take(sum_type, {most_summed(), columns}, "key and value gradients in the ring"),
               arrived =
                   w.scratch.take(sum_type, {most_arriving(), columns}, "key and value gradients received");
  // d_keys: of the rows of `keys`.
  const auto add = [&](const AttentionTile& tile, Matrix keys, Matrix d_keys) {
    const Matrix dq = dq_part.row_range(0, tile.q.rows()), d_kv = d_kv_part.row_range(0, tile.k.rows());
    attend(dq, d_kv, tile, keys);
    ops::add_matrix(rows_of(dq_sums, tile.q), dq, w.stream);
    ops::add_matrix(d_keys, d_kv, w.stream);
  };
  for (const AttentionTile& tile : more_of_own_) add(tile, mine, rows_of(d_mine_sums, tile.k));
  Tensor with_block = arrived.row_range(0, 0);  // the sums that came with the block of this round
  for (const Round& round : rounds_) {
    const RingRound& route = round.route;
    const Tensor held = blocks.next(round);
    const Tensor sum = sums.row_range(0, route.summed.rows());
    ops::zero_matrix(sum, w.stream);
    ops::copy_matrix(rows_of(sum, route.summed, route.summed_before), with_block, w.stream);
    for (const AttentionTile& tile : round.tiles) {
      const RowRange keys{route.held.begin + tile.k.begin, route.held.begin + tile.k.end};
      add(tile, held, rows_of(sum, route.summed, keys));
    }
    const i64 home = route.home.rows(), onward = route.arriving - home;
    round.gradients.run(sum, arrived.row_range(0, route.arriving), w.group, w.stream);
    with_block = arrived.row_range(route.home_first ? home : 0, onward);
    ops::add_matrix(rows_of(d_mine_sums, route.home), arrived.row_range(route.home_first ? 0 : onward, home),
                    w.stream);
  }
  all.finish();
}

}  // namespace longsight::parallel
