// Attention of one tower and micro-batch over a sequence group. A strategy is made per micro-batch from the
// layout (cheap), and used by every block of the tower that is planned for it.
#pragma once

#include <memory>
#include <span>

#include "parallel/cuts.h"
#include "parallel/plan.h"
#include "parallel/process_group.h"
#include "parallel/schedule.h"
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

// Every strategy computes exact attention; each result equals that of one rank to rounding.
class AttentionStrategy {
 public:
  virtual ~AttentionStrategy() = default;

  // Whether `qkv` given to forward is still needed by backward, so must be taken from the saved arena.
  virtual bool keeps_projection() const = 0;

  // o [T, H D] is overwritten; qkv [T, (H + 2 Hkv) D] holds q, k, v of this rank's T rows. Pushes one frame.
  // Collective over the group.
  virtual void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) = 0;
  // d_qkv is overwritten. o as forward wrote it. Pops the frame. Collective over the group.
  virtual void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) = 0;

  // The collectives that forward and backward issue, on all ranks.
  virtual void schedule_forward(Schedule&, DType) const = 0;
  virtual void schedule_backward(Schedule&, DType) const = 0;
};

// `label` names the tower in schedules ("vision", "language"). kind local and images: the cuts must respect
// the sequences.
std::unique_ptr<AttentionStrategy> make_attention(AttentionKind kind, AttentionShape shape,
                                                  AttentionStream stream, ProcessGroup& group,
                                                  const std::string& label);

}  // namespace longsight::parallel
