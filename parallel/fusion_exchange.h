// Connector rows to the language stream: each visual token's row goes from the rank where its patches were to
// the rank that owns its position, in one exchange; backward is the same exchange with counts transposed.
// Exact: rows are moved, never summed.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "parallel/groups/exchange.h"
#include "parallel/layout/batch_shape.h"
#include "parallel/layout/layout.h"
#include "parallel/workspace.h"
#include "runtime/tensor/upload.h"

namespace longsight::parallel {

// What moves, in rows: each feature row to the rank that owns its position, or to all.
TwoWays fusion_exchanges(FusionKind, std::span<const FeatureRun>, const Layout&);

// Of one rank and micro-batch: a value that is made without communication.
class FusionExchange {
 public:
  FusionExchange() = default;  // of no features
  FusionExchange(FusionKind, const Geometry&, const Layout&, i64 rank);
  // For a trace: the same sizes, from the runs of features alone.
  static FusionExchange counted(FusionKind, std::span<const FeatureRun>, const Layout&, i64 rank);

  // Features whose first patch row is this rank's, in stream order: the rows of `features` below.
  const std::vector<i64>& owned() const { return owned_; }
  i64 owned_count() const { return owned_count_; }
  i64 arriving() const { return here_.size(); }  // visual tokens among this rank's language rows

  void add_to(Upload& upload) const { upload.add(here_), upload.add(there_); }

  // tokens [T, C]: row p of this rank's language rows is overwritten where a visual token stands, untouched
  // elsewhere. features [owned, C]. Collective over the workspace's group.
  void forward(Tensor tokens, Tensor features, const Workspace&) const;
  // d_features is overwritten from the rows of d_tokens where visual tokens stand. Collective over the
  // workspace's group.
  void backward(Tensor d_features, Tensor d_tokens, const Workspace&) const;

 private:
  void move(Tensor to, const IndexList& to_rows, Tensor from, const IndexList& from_rows, const Exchange&,
            const Workspace&) const;

  FusionKind kind_ = FusionKind::owner;
  TwoWays rows_;  // what moves, in rows
  std::vector<i64> owned_;
  i64 owned_count_ = 0;
  IndexList here_;   // rows of this rank's language stream where visual tokens stand, as they arrive,
  IndexList there_;  // owner: rows of my features, by consumer; gather: of all ranks' features, mine
};

}  // namespace longsight::parallel
