// Attention of one tower and micro-batch over a sequence group. A strategy is made per micro-batch from the
// layout (cheap), and used by every block of the tower that is planned for it.
#pragma once

#include <memory>
#include <span>

#include "parallel/cuts.h"
#include "parallel/exchange.h"
#include "parallel/process_group.h"
#include "parallel/strategies.h"
#include "runtime/tensor/arena.h"
#include "runtime/tensor/frames.h"
#include "runtime/tensor/matrix.h"

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
};

struct AttentionWorkspace {
  Arena& saved;    // what backward needs
  Arena& scratch;  // rewound by every function that takes from it
  Frames& frames;
  Stream stream;
};

// Bytes that a strategy takes from the arenas of one rank, alignment included.
struct AttentionMemory {
  i64 saved = 0;     // what forward leaves for backward, without the projection
  i64 forward = 0;   // most scratch at once in forward,
  i64 backward = 0;  // and in backward
};

// Every strategy computes exact attention; each result equals that of one rank to rounding.
class AttentionStrategy {
 public:
  virtual ~AttentionStrategy() = default;
  AttentionStrategy(const AttentionStrategy&) = delete;
  AttentionStrategy& operator=(const AttentionStrategy&) = delete;

  // Whether `qkv` given to forward is still needed by backward, so must be taken from the saved arena.
  virtual bool keeps_projection() const = 0;

  // o [T, H D] is overwritten; qkv [T, (H + 2 Hkv) D] holds q, k, v of this rank's T rows. Pushes one frame.
  // Collective over the group.
  virtual void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) = 0;
  // d_qkv is overwritten. o as forward wrote it. Pops the frame. Collective over the group.
  virtual void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) = 0;

  // What forward and backward run, in this order; all ranks'.
  const std::vector<Exchange>& forward_exchanges() const { return forward_; }
  const std::vector<Exchange>& backward_exchanges() const { return backward_; }

  // Pairs of a query and a key that a rank looks at, for every query head that it does so for; by rank.
  virtual std::vector<double> head_pairs() const = 0;
  // Of any rank of the group. `threads` that attention computes with; 0: without their tiles.
  virtual AttentionMemory memory(i64 rank, DType, int threads) const = 0;

 protected:
  AttentionStrategy(const AttentionShape& shape, const AttentionStream& stream, ProcessGroup& group)
      : shape_(shape), stream_(stream), group_(group) {}

  i64 rows(i64 rank) const { return stream_.cuts.rows(rank); }
  RowRange range(i64 rank) const { return {stream_.cuts.begin(rank), stream_.cuts.end(rank)}; }
  RowRange whole() const { return {0, stream_.cuts.at.back()}; }

  AttentionShape shape_;
  AttentionStream stream_;
  ProcessGroup& group_;
  std::vector<Exchange> forward_, backward_;
};

// `label` names the tower in schedules ("vision", "language"). Strategies whose ranges lie between sequences
// throw for cuts that do not respect them.
std::unique_ptr<AttentionStrategy> make_attention(AttentionKind kind, const AttentionShape& shape,
                                                  const AttentionStream& stream, ProcessGroup& group,
                                                  const std::string& label);

}  // namespace longsight::parallel
