// Final projection and cross-entropy in row chunks, fused with their gradient: the logits [S, V] never exist
// as a whole.
#pragma once

#include <span>

#include "runtime/tensor/arena.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops {

struct ProjectedLoss {
  Tensor x;                      // [S, C] hidden states of the supervised rows
  Tensor weight;                 // [V, C]
  std::span<const i64> targets;  // S ids in [0, V)
  double scale = 1;              // of the gradient: 1 / supervised tokens of the whole step
  i64 chunk_rows = 512;          // logits kept at a time
};

// Returns the sum over rows of -log softmax(x W^T)[target] (unscaled, in f64). S may be 0.
double projected_loss(const ProjectedLoss&, Arena& scratch, Stream);
// The same, and dx [S, C] overwritten with, d_weight [V, C] (may be empty) added to, scale * gradient.
double projected_loss_with_gradient(Tensor dx, Tensor d_weight, const ProjectedLoss&, Arena& scratch, Stream);

}  // namespace longsight::ops
