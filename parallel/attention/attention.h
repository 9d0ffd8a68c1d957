// Attention of one tower and micro-batch over a sequence group. A strategy is a value that is made for one
// rank and micro-batch from the layout (cheap, no communication), and used by every block of the tower that
// is planned for it.
#pragma once

#include <memory>
#include <span>

#include "parallel/attention/strategies.h"
#include "parallel/groups/exchange.h"
#include "parallel/layout/cuts.h"
#include "parallel/workspace.h"
#include "runtime/tensor/matrix.h"
#include "runtime/tensor/upload.h"

namespace longsight::parallel {

struct AttentionShape {
  i64 heads = 0;
  i64 kv_heads = 0;
  i64 width = 0;  // of a head
  bool causal = false;
  i64 window =
      0;  // of causal attention: a query sees the last `window` keys up to itself only; 0: all of them

  double scale() const;  // of the scores: width^-1/2
  i64 q_columns() const { return heads * width; }
  i64 kv_columns() const { return 2 * kv_heads * width; }
  i64 columns() const { return q_columns() + kv_columns(); }
};

// One stream of packed sequences and its cut over the ranks of the group. Borrowed: they outlive the
// strategy.
struct AttentionStream {
  const PackedSequences& sequences;
  const Cuts& cuts;
  // Of causal attention, for each sequence: its first prefix[s] rows are seen by every row of the sequence.
  // Empty: none.
  std::span<const i64> prefixes = {};
  i64 node = 0;  // ranks of the group that are neighbours on each node; 0: all are on one
};

// Every strategy computes exact attention; each result equals that of one rank to rounding.
class AttentionStrategy {
 public:
  virtual ~AttentionStrategy() = default;
  AttentionStrategy(const AttentionStrategy&) = delete;
  AttentionStrategy& operator=(const AttentionStrategy&) = delete;

  // Whether `qkv` given to forward is still needed by backward, so must be taken from the saved arena.
  virtual bool keeps_projection() const = 0;
  // Of the log-sums that forward leaves for backward.
  virtual Shape log_sums() const = 0;

  // o [T, H D] and lse [log_sums()] are overwritten; qkv [T, (H + 2 Hkv) D] holds q, k, v of this rank's T
  // rows. Pushes one frame, which refers to lse. Collective over the workspace's group, in which this rank is
  // the one that the strategy was made for.
  virtual void forward(Tensor o, Tensor lse, Tensor qkv, const Workspace&) = 0;
  // Pushes the frame that forward pushed, from the same qkv once more and the log-sums that it left: nothing
  // of attention itself is computed again. Collective over the group.
  virtual void forward_again(Tensor lse, Tensor qkv, const Workspace&) = 0;
  // d_qkv is overwritten. o as forward wrote it. Pops the frame. Collective over the group.
  virtual void backward(Tensor d_qkv, Tensor d_o, Tensor o, const Workspace&) = 0;

  // The lists that it hands to ops.
  virtual void add_to(Upload&) const {}

  // Pairs of a query and a key that a rank looks at, for every query head that it does so for; by rank.
  virtual std::vector<double> head_pairs() const = 0;

 protected:
  AttentionStrategy(const AttentionShape& shape, const AttentionStream& stream, i64 rank)
      : shape_(shape), stream_(stream), rank_(rank) {}

  i64 ranks() const { return stream_.cuts.ranks(); }
  i64 me() const { return rank_; }
  i64 my_rows() const { return rows(rank_); }

  i64 rows(i64 rank) const { return stream_.cuts.rows(rank); }
  RowRange range(i64 rank) const { return stream_.cuts.range(rank); }
  RowRange whole() const { return {0, stream_.cuts.total()}; }

  AttentionShape shape_;
  AttentionStream stream_;
  i64 rank_;
};

// `label` names the tower in schedules ("vision", "language"). Strategies whose ranges lie between sequences
// throw for cuts that do not respect them.
std::unique_ptr<AttentionStrategy> make_attention(AttentionKind kind, const AttentionShape& shape,
                                                  const AttentionStream& stream, i64 rank,
                                                  const std::string& label);

}  // namespace longsight::parallel
