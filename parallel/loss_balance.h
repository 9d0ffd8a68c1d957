// Supervised rows spread evenly over the sequence group before the final projection: chat data has its labels
// in a few places, and the projection is the widest product of the model.
#pragma once

#include "parallel/count_matrix.h"
#include "parallel/layout.h"
#include "parallel/process_group.h"
#include "parallel/schedule.h"
#include "runtime/tensor/arena.h"

namespace longsight::parallel {

class LossBalance {
 public:
  LossBalance(const Geometry&, const Layout&, ProcessGroup&);

  i64 rows() const { return static_cast<i64>(targets_.size()); }  // that this rank projects
  std::span<const i64> targets() const { return targets_; }       // of those rows
  const std::vector<i64>& local_rows() const {
    return local_rows_;
  }  // this rank's language rows with a target

  // balanced [rows(), C] = the rows of hidden [T, C] that this rank projects. Collective over the group.
  void forward(Tensor balanced, Tensor hidden, Arena& scratch, Stream);
  // d_hidden [T, C] is overwritten: the gradient where a row has a target, zero elsewhere. Collective over
  // the group.
  void backward(Tensor d_hidden, Tensor d_balanced, Arena& scratch, Stream);

  void schedule_forward(Schedule&, DType, i64 columns) const;
  void schedule_backward(Schedule&, DType, i64 columns) const;

 private:
  ProcessGroup& group_;
  CountMatrix counts_;  // rows
  std::vector<i64> local_rows_;
  std::vector<i64> targets_;
};

}  // namespace longsight::parallel
