// Connector rows to the language stream: each visual token's row goes from the rank where its patches were to
// the rank that owns its position, in one exchange; backward is the same exchange with counts transposed.
// Exact: rows are moved, never summed.
#pragma once

#include <memory>

#include "parallel/count_matrix.h"
#include "parallel/layout.h"
#include "parallel/process_group.h"
#include "parallel/schedule.h"
#include "runtime/tensor/arena.h"

namespace longsight::parallel {

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

  virtual void schedule_forward(Schedule&, DType, i64 columns) const = 0;
  virtual void schedule_backward(Schedule&, DType, i64 columns) const = 0;
};

std::unique_ptr<FusionExchange> make_fusion_exchange(FusionKind, const Geometry&, const Layout&,
                                                     ProcessGroup&);

}  // namespace longsight::parallel
