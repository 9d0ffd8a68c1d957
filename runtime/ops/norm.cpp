#include "runtime/ops/norm.h"

#include "runtime/ops/cuda/norm.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/norm.h"

namespace longsight::ops {
namespace {

void check_rows(const char* op, const Tensor& x, const Tensor& like) {
  check(x.shape().rank() >= 1 && x.dtype() == like.dtype() && x.rows() == like.rows() &&
            x.row_size() == like.row_size(),
        "{}: {} {} and {} {}", op, name_of(x.dtype()), x.shape(), name_of(like.dtype()), like.shape());
}

void check_vector(const char* op, const char* what, const Tensor& v, i64 size, DType dtype) {
  check(v.dtype() == dtype && v.elements() == size, "{}: {} is {} {}, not {} [{}]", op, what,
        name_of(v.dtype()), v.shape(), name_of(dtype), size);
}

}  // namespace

void rms_norm(Tensor y, Tensor rstd, Tensor x, Tensor gain, double eps, Stream stream, double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  check_rows("rms_norm", y, x);
  check_vector("rms_norm", "rstd", rstd, rows, statistics_of(x.dtype()));
  check_vector("rms_norm", "the gain", gain, width, x.dtype());
  execute(
      stream, {"rms_norm", 0, bytes_of({y, rstd, x, gain})},
      [=] { host::rms_norm(y, rstd, x, gain, eps, offset); },
      [&] { cuda::rms_norm(y, rstd, x, gain, eps, offset, stream); });
}

void rms_norm_again(Tensor y, Tensor x, Tensor rstd, Tensor gain, Stream stream, double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  check_rows("rms_norm_again", y, x);
  check_vector("rms_norm_again", "rstd", rstd, rows, statistics_of(x.dtype()));
  check_vector("rms_norm_again", "the gain", gain, width, x.dtype());
  execute(
      stream, {"rms_norm_again", 0, bytes_of({y, x, rstd, gain})},
      [=] { host::rms_norm_again(y, x, rstd, gain, offset); },
      [&] { cuda::rms_norm_again(y, x, rstd, gain, offset, stream); });
}

void rms_norm_backward(Tensor dx, Tensor d_gain, Tensor dy, Tensor x, Tensor rstd, Tensor gain, Stream stream,
                       double offset) {
  const i64 rows = x.rows(), width = x.row_size();
  check_rows("rms_norm_backward", dx, x);
  check_rows("rms_norm_backward", dy, x);
  check_vector("rms_norm_backward", "rstd", rstd, rows, statistics_of(x.dtype()));
  check_vector("rms_norm_backward", "the gain", gain, width, x.dtype());
  if (d_gain)
    check_vector("rms_norm_backward", "the gain's gradient", d_gain, width, statistics_of(x.dtype()));
  execute(
      stream, {"rms_norm_backward", 0, bytes_of({dx, dx, d_gain, dy, x, rstd, gain})},
      [=] { host::rms_norm_backward(dx, d_gain, dy, x, rstd, gain, offset); },
      [&] { cuda::rms_norm_backward(dx, d_gain, dy, x, rstd, gain, offset, stream); });
}

void layer_norm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gain, Tensor bias, double eps,
                Stream stream) {
  const i64 rows = x.rows(), width = x.row_size();
  check_rows("layer_norm", y, x);
  check_vector("layer_norm", "the mean", mean, rows, statistics_of(x.dtype()));
  check_vector("layer_norm", "rstd", rstd, rows, statistics_of(x.dtype()));
  check_vector("layer_norm", "the gain", gain, width, x.dtype());
  check_vector("layer_norm", "the bias", bias, width, x.dtype());
  execute(
      stream, {"layer_norm", 0, bytes_of({y, mean, rstd, x, gain, bias})},
      [=] { host::layer_norm(y, mean, rstd, x, gain, bias, eps); },
      [&] { cuda::layer_norm(y, mean, rstd, x, gain, bias, eps, stream); });
}

void layer_norm_again(Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gain, Tensor bias, Stream stream) {
  const i64 rows = x.rows(), width = x.row_size();
  check_rows("layer_norm_again", y, x);
  check_vector("layer_norm_again", "the mean", mean, rows, statistics_of(x.dtype()));
  check_vector("layer_norm_again", "rstd", rstd, rows, statistics_of(x.dtype()));
  check_vector("layer_norm_again", "the gain", gain, width, x.dtype());
  check_vector("layer_norm_again", "the bias", bias, width, x.dtype());
  execute(
      stream, {"layer_norm_again", 0, bytes_of({y, x, mean, rstd, gain, bias})},
      [=] { host::layer_norm_again(y, x, mean, rstd, gain, bias); },
      [&] { cuda::layer_norm_again(y, x, mean, rstd, gain, bias, stream); });
}

void layer_norm_backward(Tensor dx, Tensor d_gain, Tensor d_bias, Tensor dy, Tensor x, Tensor mean,
                         Tensor rstd, Tensor gain, Stream stream) {
  const i64 rows = x.rows(), width = x.row_size();
  check_rows("layer_norm_backward", dx, x);
  check_rows("layer_norm_backward", dy, x);
  check_vector("layer_norm_backward", "the mean", mean, rows, statistics_of(x.dtype()));
  check_vector("layer_norm_backward", "rstd", rstd, rows, statistics_of(x.dtype()));
  check_vector("layer_norm_backward", "the gain", gain, width, x.dtype());
  if (d_gain)
    check_vector("layer_norm_backward", "the gain's gradient", d_gain, width, statistics_of(x.dtype()));
  if (d_bias)
    check_vector("layer_norm_backward", "the bias's gradient", d_bias, width, statistics_of(x.dtype()));
  execute(
      stream, {"layer_norm_backward", 0, bytes_of({dx, dx, d_gain, d_bias, dy, x, mean, rstd, gain})},
      [=] { host::layer_norm_backward(dx, d_gain, d_bias, dy, x, mean, rstd, gain); },
      [&] { cuda::layer_norm_backward(dx, d_gain, d_bias, dy, x, mean, rstd, gain, stream); });
}

}  // namespace longsight::ops
