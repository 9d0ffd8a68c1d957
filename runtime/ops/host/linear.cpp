#include "runtime/ops/host/linear.h"

#include "runtime/ops/host/apply_activation.h"
#include "runtime/ops/host/gemm.h"

namespace longsight::ops::host {
namespace {

template <class T, class Y>
void linear_as(Matrix y, Matrix x, Tensor weight, const LinearOptions& options) {
  Gemm<T, Y> product{.m = y.rows, .n = y.cols, .k = x.cols};
  product.a = x.host<T>();
  product.lda = x.stride;
  product.b = weight.host<T>();
  product.ldb = x.cols;
  product.b_transposed = true;
  product.c = y.host<Y>();
  product.ldc = y.stride;
  if (options.residual) {
    product.addend = options.residual.host<Y>();
    product.ld_addend = options.residual.stride;
  }
  if (options.bias) product.bias = options.bias.host<T>();
  if (options.activation == Activation::none) return gemm(product);
  // The activation reads each block of y while it is still in the cache.
  const Matrix out = options.activated;
  Y* const activated = out.host<Y>();
  formulas::with_activation(options.activation, [&](auto f) {
    gemm(product, [&, f](i64 row, i64 rows) {
      for (i64 r = row; r < row + rows; ++r) {
        apply_activation(f, activated + r * out.stride, product.c + r * product.ldc, product.n);
      }
    });
  });
}

}  // namespace

void linear(Matrix y, Matrix x, Tensor weight, const LinearOptions& options) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (y.dtype == x.dtype) return linear_as<T, T>(y, x, weight, options);
    linear_as<T, Statistics<T>>(y, x, weight, options);
  });
}

void linear_backward_input(Matrix dx, Matrix dy, Tensor weight, Write write) {
  dispatch(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    Gemm<T> product{.m = dx.rows, .n = dx.cols, .k = dy.cols};
    product.a = dy.host<T>();
    product.lda = dy.stride;
    product.b = weight.host<T>();
    product.ldb = dx.cols;
    product.c = dx.host<T>();
    product.ldc = dx.stride;
    if (write == Write::add) {
      product.addend = product.c;
      product.ld_addend = product.ldc;
    }
    gemm(product);
  });
}

void linear_backward_weight(Tensor dw, Tensor db, Matrix dy, Matrix x) {
  if (dy.rows == 0) return;
  dispatch(dy.dtype, [&](auto zero) {
    using T = decltype(zero);
    // Without dw the product has no columns and leaves the sums alone.
    using S = Statistics<T>;
    Gemm<T, S> product{.m = dy.cols, .n = dw ? x.cols : 0, .k = dy.rows};
    product.a = dy.host<T>();
    product.lda = dy.stride;
    product.a_transposed = true;
    if (db) product.a_sums = db.host<S>();
    if (dw) {
      product.b = x.host<T>();
      product.ldb = x.stride;
      product.c = dw.host<S>();
      product.ldc = x.cols;
      product.addend = product.c;
      product.ld_addend = product.ldc;
    }
    gemm(product);
  });
}

}  // namespace longsight::ops::host
