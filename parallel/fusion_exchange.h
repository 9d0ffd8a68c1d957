// Connector rows to the language stream: each visual token's row goes from the rank where its patches were to
// the rank that owns its position, in one exchange; backward is the same exchange with counts transposed.
// Exact: rows are moved, never summed.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "parallel/batch_shape.h"
#include "parallel/exchange.h"
#include "parallel/layout.h"
#include "runtime/tensor/arena.h"

namespace longsight::parallel {

// What moves, in rows: each feature row to the rank that owns its position, or to all.
TwoWays fusion_exchanges(FusionKind, std::span<const FeatureRun>, const Layout&);

class FusionExchange {
 public:
  virtual ~FusionExchange() = default;

  // Features whose first patch row is this rank's, in stream order: the rows of `features` below.
  virtual const std::vector<i64>& owned() const = 0;

  // tokens [T, C]: row p of this rank's language rows is overwritten where a visual token stands, untouched
  // elsewhere. features [owned, C]. Collective over the group.
  virtual void forward(Tensor tokens, Tensor features, Arena& scratch, Stream) = 0;
  // d_features is overwritten from the rows of d_tokens where visual tokens stand. Collective over the group.
  virtual void backward(Tensor d_features, Tensor d_tokens, Arena& scratch, Stream) = 0;

  const TwoWays& rows() const { return rows_; }  // what is run, times the columns

 protected:
  FusionExchange(TwoWays rows, ProcessGroup& group) : rows_(std::move(rows)), group_(group) {}

  TwoWays rows_;
  ProcessGroup& group_;
};

std::unique_ptr<FusionExchange> make_fusion_exchange(FusionKind, const Geometry&, const Layout&,
                                                     ProcessGroup&);

}  // namespace longsight::parallel
