#include "runtime/ops/host/row_scale.h"

#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
void scale_rows(Matrix y, Matrix x, Tensor scale) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = y.host<T>();
    const T *const in = x.host<T>(), *const factor = scale.host<T>();
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
#pragma omp simd
      for (i64 c = 0; c < x.cols; ++c) out[r * y.stride + c] = factor[r] * in[r * x.stride + c];
    });
  });
}

void scale_rows_backward(Matrix dx, Tensor d_scale, Matrix dy, Matrix x, Tensor scale) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *const upstream = dy.host<T>(), *const in = x.host<T>(), *const factor = scale.host<T>();
    T* const out = dx.data != nullptr ? dx.host<T>() : nullptr;
    T* const sums = d_scale ? d_scale.host<T>() : nullptr;
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

void scale_matrix(Matrix x, double factor) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const values = x.host<T>();
    const T f = static_cast<T>(factor);
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
#pragma omp simd
      for (i64 c = 0; c < x.cols; ++c) values[r * x.stride + c] *= f;
    });
  });
}

}  // namespace longsight::ops::host
