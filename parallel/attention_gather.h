// Gather attention: K and V of the sequences that a rank's queries touch come to it, as far as a causal mask,
// a window and prefixes let it see; backward sums dK and dV back to their owners, in rank order.
#pragma once

#include "parallel/attention.h"
#include "parallel/count_matrix.h"
#include "runtime/ops/attention.h"

namespace longsight::parallel {

class GatherAttention final : public AttentionStrategy {
 public:
  GatherAttention(AttentionShape shape, AttentionStream stream, ProcessGroup& group, std::string label);

  bool keeps_projection() const override { return true; }
  void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) override;
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) override;
  void schedule_forward(Schedule&, DType) const override;
  void schedule_backward(Schedule&, DType) const override;

 private:
  ops::AttentionProblem problem() const;

  AttentionShape shape_;
  ProcessGroup& group_;
  std::string forth_, back_;
  i64 rows_ = 0;              // of this rank
  std::vector<i64> offsets_;  // first row, within this rank's, that goes to each rank
  i64 needed_rows_ = 0;       // that this rank receives
  CountMatrix row_counts_;    // rows from owner to reader
  std::vector<ops::AttentionSpan> spans_;
};

}  // namespace longsight::parallel
