#include "runtime/ops/linear.h"

#include "runtime/ops/cuda/linear.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/linear.h"

namespace longsight::ops {
namespace {

void check_sizes(Matrix output, Matrix input, const Tensor& weight) {
  check(weight.shape().rank() >= 1 && output.rows == input.rows && weight.rows() == output.cols &&
            weight.row_size() == input.cols,
        "linear: weight {} between [{}, {}] and [{}, {}]", weight.shape(), input.rows, input.cols,
        output.rows, output.cols);
}

void check_types(bool fit, DType weight, Matrix input, Matrix output) {
  check(fit, "linear: {} weight between {} and {}", name_of(weight), name_of(input.dtype),
        name_of(output.dtype));
}

void check_vector(const char* what, const Tensor& x, i64 size, DType dtype) {
  check(x.elements() == size && x.dtype() == dtype, "linear: {} {} {} for {} outputs in {}", what,
        name_of(x.dtype()), x.shape(), size, name_of(dtype));
}

void check_like(const char* what, Matrix a, Matrix y) {
  check(a.rows == y.rows && a.cols == y.cols && a.dtype == y.dtype,
        "linear: {} [{}, {}] for an output [{}, {}]", what, a.rows, a.cols, y.rows, y.cols);
}

// Of a product whose result is `y` [M, N], over `depth`.
double product_flops(Matrix y, i64 depth) {
  return 2 * static_cast<double>(y.rows) * static_cast<double>(y.cols) * static_cast<double>(depth);
}

}  // namespace

void linear(Matrix y, Matrix x, Tensor weight, const LinearOptions& options, Stream stream) {
  check_sizes(y, x, weight);
  check_types(weight.dtype() == x.dtype && (y.dtype == x.dtype || y.dtype == statistics_of(x.dtype)),
              weight.dtype(), x, y);
  if (options.bias) check_vector("bias", options.bias, y.cols, x.dtype);
  if (options.residual) check_like("residual", options.residual, y);
  if (options.activation != Activation::none) check_like("activated", options.activated, y);
  execute(
      stream,
      {"linear", product_flops(y, x.cols),
       bytes_of({y, x, weight, options.bias, options.residual, options.activated})},
      [=] { host::linear(y, x, weight, options); }, [&] { cuda::linear(y, x, weight, options, stream); });
}

void linear_backward_input(Matrix dx, Matrix dy, Tensor weight, Write write, Stream stream) {
  check_sizes(dy, dx, weight);
  check_types(weight.dtype() == dx.dtype && dy.dtype == dx.dtype, weight.dtype(), dx, dy);
  execute(
      stream, {"linear_backward_input", product_flops(dx, dy.cols), bytes_of({dx, dy, weight})},
      [=] { host::linear_backward_input(dx, dy, weight, write); },
      [&] { cuda::linear_backward_input(dx, dy, weight, write, stream); });
}

void linear_backward_weight(Tensor dw, Tensor db, Matrix dy, Matrix x, Stream stream) {
  const DType sums = statistics_of(dy.dtype);
  if (dw) {
    check_sizes(dy, x, dw);
    check_types(x.dtype == dy.dtype && dw.dtype() == sums, dw.dtype(), x, dy);
  }
  if (db) check_vector("bias gradient", db, dy.cols, sums);
  execute(
      stream, {"linear_backward_weight", dw ? product_flops(dy, x.cols) : 0, bytes_of({dw, dw, db, dy, x})},
      [=] { host::linear_backward_weight(dw, db, dy, x); },
      [&] { cuda::linear_backward_weight(dw, db, dy, x, stream); });
}

}  // namespace longsight::ops
