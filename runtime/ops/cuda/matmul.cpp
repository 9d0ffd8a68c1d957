#include "runtime/ops/cuda/matmul.h"

namespace longsight::ops::cuda {
namespace {

MatmulOperand transposed(const Matrix& x) {
  return {x.data, x.dtype, x.cols, x.rows, x.stride};
}

// Where epilogues may write or read: 16 bytes at once.
bool begins_well(const Matrix& x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && x.stride * size_of(x.dtype) % 16 == 0;
}

}  // namespace

bool takes_bias(const Matrix& y, const Matrix& x, const LinearOptions& options) {
  return options.bias && y.dtype == x.dtype && y.dtype != DType::F64;
}

// Of the activations only the one with tanh has an epilogue that also leaves what goes into it. It is one of
// bf16.
bool takes_activation(const Matrix& y, const Matrix& x, const LinearOptions& options) {
  return options.activation == Activation::gelu_tanh && y.dtype == DType::BF16 && x.dtype == DType::BF16 &&
         options.activated.data != y.data && begins_well(y) && begins_well(options.activated) &&
         (!options.bias || takes_bias(y, x, options));
}

// y^T [N, M] = weight x^T, where the row-major weight [N, K] is the column-major [K, N].
Matmul linear_product(const Matrix& y, const Matrix& x, const Tensor& weight, const LinearOptions& options) {
  Matmul product{.a_transposed = true,
                 .a = transposed(weight),
                 .b = transposed(x),
                 .d = transposed(y),
                 .sums = statistics_of(x.dtype)};
  if (options.residual) product.c = transposed(options.residual);
  if (takes_bias(y, x, options)) product.bias = options.bias.data();
  if (takes_activation(y, x, options)) {
    product.before_gelu = product.d;
    product.d = transposed(options.activated);
  }
  return product;
}

// dx^T [K, M] = weight^T dy^T.
Matmul input_product(const Matrix& dx, const Matrix& dy, const Tensor& weight, Write write) {
  Matmul product{
      .a = transposed(weight), .b = transposed(dy), .d = transposed(dx), .sums = statistics_of(dx.dtype)};
  if (write == Write::add) product.c = product.d;
  return product;
}

// dw^T [K, N] = x^T dy.
Matmul weight_product(const Tensor& dw, const Matrix& dy, const Matrix& x) {
  Matmul product{.b_transposed = true,
                 .a = transposed(x),
                 .b = transposed(dy),
                 .d = transposed(dw),
                 .sums = statistics_of(x.dtype)};
  product.c = product.d;
  return product;
}

}  // namespace longsight::ops::cuda
