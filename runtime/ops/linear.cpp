#include "runtime/ops/linear.h"

#include "runtime/ops/activation_math.h"
#include "runtime/ops/gemm.h"

namespace longsight::ops {
namespace {

void check_weight(Matrix output, Matrix input, const Tensor& weight) {
  check(weight.shape().rank() >= 1 && output.rows == input.rows && weight.rows() == output.cols &&
            weight.row_size() == input.cols,
        "linear: weight {} between [{}, {}] and [{}, {}]", weight.shape().text(), input.rows, input.cols,
        output.rows, output.cols);
  check(output.dtype == input.dtype && weight.dtype() == input.dtype, "linear: {} weight between {} and {}",
        name_of(weight.dtype()), name_of(input.dtype), name_of(output.dtype));
}

void check_vector(const char* what, const Tensor& x, i64 size, DType dtype) {
  check(x.elements() == size && x.dtype() == dtype, "linear: {} {} {} for {} outputs in {}", what,
        name_of(x.dtype()), x.shape().text(), size, name_of(dtype));
}

void check_like(const char* what, Matrix a, Matrix y) {
  check(a.rows == y.rows && a.cols == y.cols && a.dtype == y.dtype,
        "linear: {} [{}, {}] for an output [{}, {}]", what, a.rows, a.cols, y.rows, y.cols);
}

}  // namespace

void linear(Matrix y, Matrix x, Tensor weight, const LinearOptions& options, Stream) {
  check_weight(y, x, weight);
  if (options.bias) check_vector("bias", options.bias, y.cols, y.dtype);
  if (options.residual) check_like("residual", options.residual, y);
  const bool activates = options.activation != Activation::none;
  if (activates) check_like("activated", options.activated, y);
  dispatch(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    Gemm<T> product{.m = y.rows, .n = y.cols, .k = x.cols};
    product.a = x.as<T>();
    product.lda = x.stride;
    product.b = weight.as<T>();
    product.ldb = x.cols;
    product.b_transposed = true;
    product.c = y.as<T>();
    product.ldc = y.stride;
    if (options.residual) {
      product.addend = options.residual.as<T>();
      product.ld_addend = options.residual.stride;
    }
    if (options.bias) product.bias = options.bias.as<T>();
    if (!activates) {
      gemm(product);
      return;
    }
    // The activation reads each block of y while it is still in the cache.
    const Matrix out = options.activated;
    T* const activated = out.as<T>();
    with_activation(options.activation, [&](auto f) {
      gemm(product, [&, f](i64 row, i64 rows) {
        for (i64 r = row; r < row + rows; ++r) {
          apply_activation(f, activated + r * out.stride, product.c + r * product.ldc, product.n);
        }
      });
    });
  });
}

void linear_backward_input(Matrix dx, Matrix dy, Tensor weight, Write write, Stream) {
  check_weight(dy, dx, weight);
  dispatch(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    Gemm<T> product{.m = dx.rows, .n = dx.cols, .k = dy.cols};
    product.a = dy.as<T>();
    product.lda = dy.stride;
    product.b = weight.as<T>();
    product.ldb = dx.cols;
    product.c = dx.as<T>();
    product.ldc = dx.stride;
    if (write == Write::add) {
      product.addend = product.c;
      product.ld_addend = product.ldc;
    }
    gemm(product);
  });
}

void linear_backward_weight(Tensor dw, Tensor db, Matrix dy, Matrix x, Stream) {
  if (dw) check_weight(dy, x, dw);
  if (db) check_vector("bias gradient", db, dy.cols, dy.dtype);
  if (dy.rows == 0) return;
  dispatch(dy.dtype, [&](auto zero) {
    using T = decltype(zero);
    // Without dw the product has no columns and leaves the sums alone.
    Gemm<T> product{.m = dy.cols, .n = dw ? x.cols : 0, .k = dy.rows};
    product.a = dy.as<T>();
    product.lda = dy.stride;
    product.a_transposed = true;
    if (db) product.a_sums = db.as<T>();
    if (dw) {
      product.b = x.as<T>();
      product.ldb = x.stride;
      product.c = dw.as<T>();
      product.ldc = x.cols;
      product.addend = product.c;
      product.ld_addend = product.ldc;
    }
    gemm(product);
  });
}

}  // namespace longsight::ops
