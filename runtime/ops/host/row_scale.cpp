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
    using S = Statistics<T>;
    const T *const in = x.host<T>(), *const factor = scale.host<T>();
    const S* const upstream = dy.host<S>();
    S* const out = dx.data != nullptr ? dx.host<S>() : nullptr;
    S* const sums = d_scale ? d_scale.host<S>() : nullptr;
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
      const S* d = upstream + r * dy.stride;
      const T* v = in + r * x.stride;
      if (sums != nullptr) {
        S dot = 0;
#pragma omp simd reduction(+ : dot)
        for (i64 c = 0; c < x.cols; ++c) dot += d[c] * v[c];
        sums[r] += dot;
      }
      if (out != nullptr) {
        S* o = out + r * dx.stride;
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
    const auto f = static_cast<Statistics<T>>(factor);
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
#pragma omp simd
      for (i64 c = 0; c < x.cols; ++c) values[r * x.stride + c] = values[r * x.stride + c] * f;
    });
  });
}

}  // namespace longsight::ops::host
