// Attention of ranks whose ranges hold whole sequences: nothing moves. `local` and, between images, `images`.
#pragma once

#include "parallel/attention.h"
#include "runtime/ops/attention.h"

namespace longsight::parallel {

class LocalAttention final : public AttentionStrategy {
 public:
  LocalAttention(AttentionShape shape, AttentionStream stream, i64 rank);

  bool keeps_projection() const override { return true; }
  void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) override;
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) override;
  void schedule_forward(Schedule&, DType) const override {}
  void schedule_backward(Schedule&, DType) const override {}

 private:
  ops::AttentionProblem problem() const;

  AttentionShape shape_;
  std::vector<ops::AttentionSpan> spans_;
};

}  // namespace longsight::parallel
