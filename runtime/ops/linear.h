// Matrix products of the layers: y = x W^T + b, as Hugging Face and PyTorch store W [N, K].
// Inputs, weights, bias and results are of one type; sums over rows, that is the gradients of weights and
// biases, of its statistics' type. Same bits for every thread count. Shapes and types that do not fit throw.
#pragma once

#include "runtime/ops/activation.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops {

struct LinearOptions {
  Tensor bias = {};      // [N], added to every row
  Matrix residual = {};  // [M, N], added; of y's type; may be y itself
  // With an activation, y holds what goes into it (rounded to its type, as backward sees it) and `activated`
  // [M, N] what comes out, written in one pass; without backward both may be the same matrix.
  Activation activation = Activation::none;
  Matrix activated = {};
};

// y [M, N] = x [M, K] weight [N, K]^T + bias + residual. y is overwritten; it may be of the statistics' type
// of x (logits). M may be 0.
void linear(Matrix y, Matrix x, Tensor weight, const LinearOptions& options, Stream);

enum class Write { overwrite, add };

// dx [M, K] = or += dy [M, N] weight [N, K].
void linear_backward_input(Matrix dx, Matrix dy, Tensor weight, Write, Stream);

// dw [N, K] += dy [M, N]^T x [M, K];  db [N] += sum of the rows of dy. Either may be an empty Tensor: not
// wanted.
void linear_backward_weight(Tensor dw, Tensor db, Matrix dy, Matrix x, Stream);

}  // namespace longsight::ops
