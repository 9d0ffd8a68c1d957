// Supervised rows spread evenly over the sequence group before the final projection: chat data has its labels
// in a few places, and the projection is the widest product of the model.
#pragma once

#include <span>
#include <vector>

#include "parallel/groups/exchange.h"
#include "parallel/layout/layout.h"
#include "parallel/workspace.h"
#include "runtime/tensor/upload.h"

namespace longsight::parallel {

// What moves, in rows: from the rank that holds a row with a target to the rank that projects it.
TwoWays loss_exchanges(std::span<const RowRange> supervised, const Cuts& language);

// Of one rank and micro-batch: a value that is made without communication.
class LossBalance {
 public:
  LossBalance() = default;  // of no rows
  // `vocab`: targets are below it.
  LossBalance(const Geometry&, const Layout&, i64 rank, i64 vocab);
  // For a trace: the same sizes, from the ranges of supervised rows alone.
  static LossBalance counted(std::span<const RowRange> supervised, const Layout&, i64 rank, i64 vocab);

  i64 rows() const { return targets_.size(); }           // that this rank projects
  const IndexList& targets() const { return targets_; }  // of those rows

  void add_to(Upload& upload) const { upload.add(local_rows_), upload.add(targets_); }

  // balanced [rows(), C] = the rows of hidden [T, C] that this rank projects. Collective over the workspace's
  // group.
  void forward(Tensor balanced, Tensor hidden, const Workspace&) const;
  // d_hidden [T, C] is overwritten: the gradient where a row has a target, zero elsewhere. Collective over
  // the workspace's group.
  void backward(Tensor d_hidden, Tensor d_balanced, const Workspace&) const;

 private:
  TwoWays rows_;          // what moves, in rows
  IndexList local_rows_;  // this rank's language rows with a target
  IndexList targets_;
};

}  // namespace longsight::parallel
