#include "runtime/ops/host/activation.h"

#include "runtime/ops/host/apply_activation.h"
#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
void activation(Matrix y, Matrix x, Activation kind) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = y.host<T>();
    const T* const in = x.host<T>();
    formulas::with_activation(kind, [&](auto f) {
      parallel_items(x.rows, x.rows * x.cols,
                     [&](i64 r) { apply_activation(f, out + r * y.stride, in + r * x.stride, x.cols); });
    });
  });
}

void activation_backward(Matrix dx, Matrix dy, Matrix x, Activation kind) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = dx.host<T>();
    const T* const upstream = dy.host<T>();
    const T* const in = x.host<T>();
    formulas::with_activation(kind, [&](auto f) {
      parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
        T* o = out + r * dx.stride;
        const T* d = upstream + r * dy.stride;
        const T* v = in + r * x.stride;
#pragma omp simd
        for (i64 c = 0; c < x.cols; ++c) o[c] = d[c] * f.both(Statistics<T>(v[c])).slope;
      });
    });
  });
}

void gated(Matrix h, Matrix gate_up, Activation kind) {
  dispatch(h.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = h.host<T>();
    const T* const in = gate_up.host<T>();
    formulas::with_activation(kind, [&](auto f) {
      parallel_items(h.rows, h.rows * h.cols, [&](i64 r) {
        T* o = out + r * h.stride;
        const T* gate = in + r * gate_up.stride;
        const T* up = gate + h.cols;
#pragma omp simd
        for (i64 c = 0; c < h.cols; ++c) o[c] = f.value(Statistics<T>(gate[c])) * up[c];
      });
    });
  });
}

void gated_backward(Matrix d_gate_up, Matrix h, Matrix dh, Matrix gate_up, Activation kind) {
  dispatch(dh.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = d_gate_up.host<T>();
    T* const again = h ? h.host<T>() : nullptr;
    const T* const upstream = dh.host<T>();
    const T* const in = gate_up.host<T>();
    const i64 width = dh.cols;
    formulas::with_activation(kind, [&](auto f) {
      parallel_items(dh.rows, dh.rows * width, [&](i64 r) {
        const T* gate = in + r * gate_up.stride;
        const T* up = gate + width;
        const T* d = upstream + r * dh.stride;
        T* d_gate = out + r * d_gate_up.stride;
        T* d_up = d_gate + width;
        T* forward = again != nullptr ? again + r * h.stride : nullptr;
        if (forward != nullptr) {
#pragma omp simd
          for (i64 c = 0; c < width; ++c) {
            const auto g = f.both(Statistics<T>(gate[c]));
            const Statistics<T> u = up[c], upstream_c = d[c];
            forward[c] = g.value * u;
            d_gate[c] = upstream_c * u * g.slope;
            d_up[c] = upstream_c * g.value;
          }
        } else {
#pragma omp simd
          for (i64 c = 0; c < width; ++c) {
            const auto g = f.both(Statistics<T>(gate[c]));
            const Statistics<T> u = up[c], upstream_c = d[c];
            d_gate[c] = upstream_c * u * g.slope;
            d_up[c] = upstream_c * g.value;
          }
        }
      });
    });
  });
}

}  // namespace longsight::ops::host
