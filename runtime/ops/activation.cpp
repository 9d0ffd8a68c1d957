#include "runtime/ops/activation.h"

#include "runtime/ops/activation_math.h"
#include "runtime/ops/host_threads.h"

namespace longsight::ops {
namespace {

void check_like(const char* op, Matrix a, Matrix b) {
  check(a.rows == b.rows && a.cols == b.cols && a.dtype == b.dtype, "{}: {} [{}, {}] and {} [{}, {}]", op,
        name_of(a.dtype), a.rows, a.cols, name_of(b.dtype), b.rows, b.cols);
}

}  // namespace

Activation activation_from_hf(std::string_view name, std::string_view where) {
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "quick_gelu") return Activation::quick_gelu;
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "relu") return Activation::relu;
  fail(ExitCode::bad_data,
       "{}: no activation function {} (there are gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish, "
       "relu)",
       where, name);
}

void activation(Matrix y, Matrix x, Activation kind, Stream) {
  check_like("activation", y, x);
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = y.as<T>();
    const T* const in = x.as<T>();
    with_activation(kind, [&](auto f) {
      parallel_items(x.rows, x.rows * x.cols,
                     [&](i64 r) { apply_activation(f, out + r * y.stride, in + r * x.stride, x.cols); });
    });
  });
}

void activation_backward(Matrix dx, Matrix dy, Matrix x, Activation kind, Stream) {
  check_like("activation backward", dx, x);
  check_like("activation backward", dy, x);
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = dx.as<T>();
    const T* const upstream = dy.as<T>();
    const T* const in = x.as<T>();
    with_activation(kind, [&](auto f) {
      parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
        T* o = out + r * dx.stride;
        const T* d = upstream + r * dy.stride;
        const T* v = in + r * x.stride;
#pragma omp simd
        for (i64 c = 0; c < x.cols; ++c) o[c] = d[c] * f.both(v[c]).slope;
      });
    });
  });
}

void gated(Matrix h, Matrix gate_up, Activation kind, Stream) {
  check(gate_up.rows == h.rows && gate_up.cols == 2 * h.cols && gate_up.dtype == h.dtype,
        "gated: {} [{}, {}] from {} [{}, {}]", name_of(h.dtype), h.rows, h.cols, name_of(gate_up.dtype),
        gate_up.rows, gate_up.cols);
  dispatch(h.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = h.as<T>();
    const T* const in = gate_up.as<T>();
    with_activation(kind, [&](auto f) {
      parallel_items(h.rows, h.rows * h.cols, [&](i64 r) {
        T* o = out + r * h.stride;
        const T* gate = in + r * gate_up.stride;
        const T* up = gate + h.cols;
#pragma omp simd
        for (i64 c = 0; c < h.cols; ++c) o[c] = f.value(gate[c]) * up[c];
      });
    });
  });
}

void gated_backward(Matrix d_gate_up, Matrix h, Matrix dh, Matrix gate_up, Activation kind, Stream) {
  check_like("gated backward", d_gate_up, gate_up);
  check(gate_up.rows == dh.rows && gate_up.cols == 2 * dh.cols && gate_up.dtype == dh.dtype,
        "gated backward: {} [{}, {}] for {} [{}, {}]", name_of(dh.dtype), dh.rows, dh.cols,
        name_of(gate_up.dtype), gate_up.rows, gate_up.cols);
  if (h) check_like("gated backward", h, dh);
  dispatch(dh.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = d_gate_up.as<T>();
    T* const again = h ? h.as<T>() : nullptr;
    const T* const upstream = dh.as<T>();
    const T* const in = gate_up.as<T>();
    const i64 width = dh.cols;
    with_activation(kind, [&](auto f) {
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
            const auto g = f.both(gate[c]);
            const T u = up[c], upstream_c = d[c];
            forward[c] = g.value * u;
            d_gate[c] = upstream_c * u * g.slope;
            d_up[c] = upstream_c * g.value;
          }
        } else {
#pragma omp simd
          for (i64 c = 0; c < width; ++c) {
            const auto g = f.both(gate[c]);
            const T u = up[c], upstream_c = d[c];
            d_gate[c] = upstream_c * u * g.slope;
            d_up[c] = upstream_c * g.value;
          }
        }
      });
    });
  });
}

}  // namespace longsight::ops
