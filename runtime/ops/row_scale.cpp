#include "runtime/ops/row_scale.h"

#include "runtime/ops/host_threads.h"

namespace longsight::ops {
namespace {

void check_scale(const char* op, Matrix a, Matrix b, Tensor scale) {
  check(a.rows == b.rows && a.cols == b.cols && a.dtype == b.dtype && scale.dtype() == a.dtype &&
            scale.elements() == a.rows,
        "{}: {} [{}, {}] and {} [{}, {}], factors {} {}", op, name_of(a.dtype), a.rows, a.cols,
        name_of(b.dtype), b.rows, b.cols, name_of(scale.dtype()), scale.shape().text());
}

}  // namespace

void scale_rows(Matrix y, Matrix x, Tensor scale, Stream) {
  check_scale("scale_rows", y, x, scale);
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = y.as<T>();
    const T *const in = x.as<T>(), *const factor = scale.as<T>();
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
#pragma omp simd
      for (i64 c = 0; c < x.cols; ++c) out[r * y.stride + c] = factor[r] * in[r * x.stride + c];
    });
  });
}

void scale_rows_backward(Matrix dx, Tensor d_scale, Matrix dy, Matrix x, Tensor scale, Stream) {
  check_scale("scale_rows_backward", dy, x, scale);
  if (dx.data != nullptr) check_scale("scale_rows_backward", dx, x, scale);
  if (d_scale) check_scale("scale_rows_backward", dy, x, d_scale);
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *const upstream = dy.as<T>(), *const in = x.as<T>(), *const factor = scale.as<T>();
    T* const out = dx.data != nullptr ? dx.as<T>() : nullptr;
    T* const sums = d_scale ? d_scale.as<T>() : nullptr;
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
      const T *d = upstream + r * dy.stride, *v = in + r * x.stride;
      if (sums != nullptr) {
        T dot = 0;
#pragma omp simd reduction(+ : dot)
        for (i64 c = 0; c < x.cols; ++c) dot += d[c] * v[c];
        sums[r] += dot;
      }
      if (out != nullptr) {
        T* o = out + r * dx.stride;
#pragma omp simd
        for (i64 c = 0; c < x.cols; ++c) o[c] += factor[r] * d[c];
      }
    });
  });
}

void scale_matrix(Matrix x, double factor, Stream) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const values = x.as<T>();
    const T f = static_cast<T>(factor);
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
#pragma omp simd
      for (i64 c = 0; c < x.cols; ++c) values[r * x.stride + c] *= f;
    });
  });
}

}  // namespace longsight::ops
