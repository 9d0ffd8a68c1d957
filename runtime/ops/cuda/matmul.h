// Private to the executors for CUDA: a matrix product as cuBLASLt is told of it, as a value. What is said is
// checked by tests that compute it.
#pragma once

#include "runtime/ops/activation.h"
#include "runtime/ops/linear.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops::cuda {

// Column-major: element (r, c) lies at data[r + c * ld]. A row-major matrix [rows, cols] is that of its
// transpose.
struct MatmulOperand {
  void* data = nullptr;
  DType type = DType::F32;
  i64 rows = 0, cols = 0, ld = 0;
};

// d = op(a) op(b) + (c, where it is given) + (bias [d.rows], where it is given, for every column). All is
// added up in `sums` and rounded once. With `before_gelu`, which lies as d does, that goes there, and d =
// gelu_tanh of it.
struct Matmul {
  bool a_transposed = false, b_transposed = false;
  MatmulOperand a = {}, b = {}, c = {}, d = {};
  DType sums = DType::F32;
  const void* bias = nullptr;  // of d's type
  MatmulOperand before_gelu = {};

  i64 m() const { return d.rows; }
  i64 n() const { return d.cols; }
  i64 k() const { return a_transposed ? a.rows : a.cols; }
};

// y [M, N] = x [M, K] weight [N, K]^T + residual; with the bias and the activation where cuBLASLt can do them
// on the way.
Matmul linear_product(const Matrix& y, const Matrix& x, const Tensor& weight, const LinearOptions&);
// Which of the two it has taken over: the others are passes of their own.
bool takes_bias(const Matrix& y, const Matrix& x, const LinearOptions&);
bool takes_activation(const Matrix& y, const Matrix& x, const LinearOptions&);
// dx [M, K] = or += dy [M, N] weight [N, K].
Matmul input_product(const Matrix& dx, const Matrix& dy, const Tensor& weight, Write);
// dw [N, K] += dy [M, N]^T x [M, K].
Matmul weight_product(const Tensor& dw, const Matrix& dy, const Matrix& x);

// Queues it: cuBLASLt, with the algorithm that its heuristics name for the shape when it is first met. m, n
// and k are not 0. The same bits on every run.
void run_matmul(const Matmul&, Stream);

}  // namespace longsight::ops::cuda
