#include "runtime/ops/cuda/activation.h"
#include "runtime/ops/cuda/column_sums.h"
#include "runtime/ops/cuda/linear.h"
#include "runtime/ops/cuda/matmul.h"
#include "runtime/ops/cuda/rows.h"
#include "runtime/ops/cuda/views.h"

namespace longsight::ops::cuda {
namespace {

template <class Y, class T, int N>
struct AddBias {
  LANE_FN void operator()(i64 row, i64 column) const {
    Pack<Y, N> out = load<N>(y.at(row, column));
    const Pack<T, N> term = load<N>(bias + column);
    for (int i = 0; i < N; ++i) out[i] = out[i] + Y(term[i]);
    store(y.at(row, column), out);
  }
  Rows<Y> y;
  const T* bias;
};

template <class Y, class T>
void add_bias(const Matrix& y, const Tensor& bias, Stream stream) {
  with_pack<T>(y.cols, {y, Matrix(bias.reshape({1, y.cols}))}, [&](auto pack) {
    constexpr int kElements = decltype(pack)::value;
    launch("linear: bias", stream, lanes::grid_of_items(y.rows * (y.cols / kElements)),
           EachPack<kElements, AddBias<Y, T, kElements>>{
               y.rows, 0, y.cols, {Rows<Y>(y), elements<const T>(bias)}});
  });
}

// A product over nothing is zero.
void multiply(const Matmul& product, Matrix result, Matrix addend, Stream stream) {
  if (result.rows == 0 || result.cols == 0) return;
  if (product.k() > 0) return run_matmul(product, stream);
  if (!addend) return zero_matrix(result, stream);
  if (addend.data != result.data) copy_matrix(result, addend, stream);
}

}  // namespace

void linear(Matrix y, Matrix x, Tensor weight, const LinearOptions& options, Stream stream) {
  const bool multiplied = x.cols > 0;  // otherwise there are no epilogues
  const bool with_bias = multiplied && takes_bias(y, x, options);
  const bool with_activation = multiplied && takes_activation(y, x, options);
  multiply(linear_product(y, x, weight, options), y, options.residual, stream);
  if (options.bias && !with_bias) {
    dispatch(x.dtype, [&](auto zero) {
      using T = decltype(zero);
      if (y.dtype == x.dtype) return add_bias<T, T>(y, options.bias, stream);
      add_bias<Statistics<T>, T>(y, options.bias, stream);
    });
  }
  if (options.activation != Activation::none && !with_activation)
    cuda::activation(options.activated, y, options.activation, stream);
}

void linear_backward_input(Matrix dx, Matrix dy, Tensor weight, Write write, Stream stream) {
  multiply(input_product(dx, dy, weight, write), dx, write == Write::add ? dx : Matrix(), stream);
}

void linear_backward_weight(Tensor dw, Tensor db, Matrix dy, Matrix x, Stream stream) {
  if (dy.rows == 0) return;
  if (dw) multiply(weight_product(dw, dy, x), dw, dw, stream);
  if (db) {
    dispatch(dy.dtype, [&](auto zero) {
      add_column_sums<decltype(zero)>("linear_backward_weight: bias", db, dy, stream);
    });
  }
}

}  // namespace longsight::ops::cuda
