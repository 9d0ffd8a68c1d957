// Supervised rows spread evenly over the sequence group before the final projection: chat data has its labels
// in a few places, and the projection is the widest product of the model.
#pragma once

#include <span>
#include <vector>

#include "parallel/exchange.h"
#include "parallel/layout.h"
#include "runtime/tensor/arena.h"

namespace longsight::parallel {

// What moves, in rows: from the rank that holds a row with a target to the rank that projects it.
TwoWays loss_exchanges(std::span<const RowRange> supervised, const Cuts& language);

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

  const TwoWays& exchanged() const { return rows_; }  // what is run, times the columns

 private:
  ProcessGroup& group_;
  TwoWays rows_;
  std::vector<i64> local_rows_;
  std::vector<i64> targets_;
};

}  // namespace longsight::parallel
