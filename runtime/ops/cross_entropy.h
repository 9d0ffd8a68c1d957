// Final projection and cross-entropy in row chunks, fused with their gradient: the logits [S, V] never exist
// as a whole.
#pragma once

#include "runtime/tensor/arena.h"
#include "runtime/tensor/index_list.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops {

struct ProjectedLoss {
  Tensor x;              // [S, C] hidden states of the supervised rows
  Tensor weight;         // [V, C]
  IndexList targets;     // S ids in [0, V)
  double scale = 1;      // of the gradient: 1 / supervised tokens of the whole step
  i64 chunk_rows = 512;  // logits kept at a time
};

// loss [1] (f64) += the sum over rows of -log softmax(x W^T)[target], unscaled. S may be 0.
void projected_loss(Tensor loss, const ProjectedLoss&, Arena& scratch, Stream);
// The same, and dx [S, C] overwritten with, d_weight [V, C] (may be empty) added to, scale * gradient.
// d_weight and the logits are of the statistics' type of x; the gradient of the logits is rounded to that of
// x before its products.
void projected_loss_with_gradient(Tensor loss, Tensor dx, Tensor d_weight, const ProjectedLoss&,
                                  Arena& scratch, Stream);

}  // namespace longsight::ops
