#include "runtime/ops/row_scale.h"

#include "runtime/ops/cuda/row_scale.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/row_scale.h"

namespace longsight::ops {
namespace {

void check_scale(const char* op, Matrix a, Matrix b, Tensor scale, DType a_type, DType scale_type) {
  check(a.rows == b.rows && a.cols == b.cols && a.dtype == a_type && scale.dtype() == scale_type &&
            scale.elements() == a.rows,
        "{}: {} [{}, {}] and {} [{}, {}], factors {} {}", op, name_of(a.dtype), a.rows, a.cols,
        name_of(b.dtype), b.rows, b.cols, name_of(scale.dtype()), scale.shape());
}

}  // namespace

void scale_rows(Matrix y, Matrix x, Tensor scale, Stream stream) {
  check_scale("scale_rows", y, x, scale, x.dtype, x.dtype);
  execute(
      stream, {"scale_rows", 0, bytes_of({y, x, scale})}, [=] { host::scale_rows(y, x, scale); },
      [&] { cuda::scale_rows(y, x, scale, stream); });
}

void scale_rows_backward(Matrix dx, Tensor d_scale, Matrix dy, Matrix x, Tensor scale, Stream stream) {
  const DType sums = statistics_of(x.dtype);
  check_scale("scale_rows_backward", dy, x, scale, sums, x.dtype);
  if (dx.data != nullptr) check_scale("scale_rows_backward", dx, x, scale, sums, x.dtype);
  if (d_scale) check_scale("scale_rows_backward", dy, x, d_scale, sums, sums);
  execute(
      stream, {"scale_rows_backward", 0, bytes_of({dx, dx, d_scale, dy, x, scale})},
      [=] { host::scale_rows_backward(dx, d_scale, dy, x, scale); },
      [&] { cuda::scale_rows_backward(dx, d_scale, dy, x, scale, stream); });
}

void scale_matrix(Matrix x, double factor, Stream stream) {
  execute(
      stream, {"scale_matrix", 0, bytes_of({x, x})}, [=] { host::scale_matrix(x, factor); },
      [&] { cuda::scale_matrix(x, factor, stream); });
}

}  // namespace longsight::ops
