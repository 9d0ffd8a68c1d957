// Ulysses attention (Jacobs et al. 2023): q, k, v go from sequence shards to head shards in one exchange,
// each rank runs whole sequences for its heads, the result comes back. Any head count and any cut; a KV head
// goes to just those ranks whose query heads use it, and its gradient comes back as their sum.
#pragma once

#include "parallel/attention.h"
#include "parallel/count_matrix.h"
#include "parallel/head_split.h"
#include "runtime/ops/attention.h"

namespace longsight::parallel {

class UlyssesAttention final : public AttentionStrategy {
 public:
  UlyssesAttention(AttentionShape shape, AttentionStream stream, ProcessGroup& group, std::string label);

  bool keeps_projection() const override { return false; }
  void forward(Tensor o, Tensor qkv, const AttentionWorkspace&) override;
  void backward(Tensor d_qkv, Tensor d_o, Tensor o, const AttentionWorkspace&) override;
  void schedule_forward(Schedule&, DType) const override;
  void schedule_backward(Schedule&, DType) const override;

 private:
  i64 rows() const { return cuts_.rows(group_.rank()); }  // of this rank
  i64 total() const { return cuts_.at.back(); }
  const HeadRange& mine() const { return heads_[static_cast<std::size_t>(group_.rank())]; }
  ops::AttentionProblem problem() const;
  // Elements that go from row shards to head shards when a row takes columns(r) elements for rank r.
  template <class F>
  CountMatrix to_heads(F&& columns) const;

  AttentionShape shape_;
  Cuts cuts_;
  ProcessGroup& group_;
  std::string forth_, back_;  // labels of the two directions
  std::vector<HeadRange> heads_;
  std::vector<ops::AttentionSpan> spans_;  // whole sequences
};

}  // namespace longsight::parallel
