#include "runtime/ops/cuda/activation.h"
#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/activation.h"

namespace longsight::ops::cuda {
namespace {

// The function is chosen once for a pack.
template <class T, int N>
struct ActivationForward {
  LANE_FN void operator()(i64 row, i64 column) const {
    const Pack<T, N> in = load<N>(x.at(row, column));
    Pack<T, N> out;
    formulas::with_activation(kind, [&](auto f) {
      for (int i = 0; i < N; ++i) out[i] = f.value(Statistics<T>(in[i]));
    });
    store(y.at(row, column), out);
  }
  Rows<T> y;
  Rows<const T> x;
  Activation kind;
};

template <class T, int N>
struct ActivationBackward {
  LANE_FN void operator()(i64 row, i64 column) const {
    const Pack<T, N> upstream = load<N>(dy.at(row, column)), in = load<N>(x.at(row, column));
    Pack<T, N> out;
    formulas::with_activation(kind, [&](auto f) {
      for (int i = 0; i < N; ++i) out[i] = upstream[i] * f.both(Statistics<T>(in[i])).slope;
    });
    store(dx.at(row, column), out);
  }
  Rows<T> dx;
  Rows<const T> dy, x;
  Activation kind;
};

template <class T, int N>
struct GatedForward {
  LANE_FN void operator()(i64 row, i64 column) const {
    const Pack<T, N> gate = load<N>(gate_up.at(row, column)), up = load<N>(gate_up.at(row, width + column));
    Pack<T, N> out;
    formulas::with_activation(kind, [&](auto f) {
      for (int i = 0; i < N; ++i) out[i] = f.value(Statistics<T>(gate[i])) * up[i];
    });
    store(h.at(row, column), out);
  }
  Rows<T> h;
  Rows<const T> gate_up;
  i64 width;
  Activation kind;
};

// The gradient may be written over what it is of: each thread reads its elements before it writes them.
template <class T, int N>
struct GatedBackward {
  LANE_FN void operator()(i64 row, i64 column) const {
    using S = Statistics<T>;
    const Pack<T, N> gate = load<N>(gate_up.at(row, column)), up = load<N>(gate_up.at(row, width + column));
    const Pack<T, N> upstream = load<N>(dh.at(row, column));
    Pack<T, N> d_gate, d_up, forward;
    formulas::with_activation(kind, [&](auto f) {
      for (int i = 0; i < N; ++i) {
        const auto g = f.both(S(gate[i]));
        const S u = up[i], d = upstream[i];
        forward[i] = g.value * u;
        d_gate[i] = d * u * g.slope;
        d_up[i] = d * g.value;
      }
    });
    store(d_gate_up.at(row, column), d_gate);
    store(d_gate_up.at(row, width + column), d_up);
    if (h) store(h.at(row, column), forward);
  }
  Rows<T> d_gate_up, h;
  Rows<const T> dh, gate_up;
  i64 width;
  Activation kind;
};

}  // namespace

void activation(Matrix y, Matrix x, Activation kind, Stream stream) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    each_pack<T>("activation", stream, x.rows, x.cols, {y, x}, [&](auto n) {
      return ActivationForward<T, decltype(n)::value>{Rows<T>(y), Rows<const T>(x), kind};
    });
  });
}

void activation_backward(Matrix dx, Matrix dy, Matrix x, Activation kind, Stream stream) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    each_pack<T>("activation_backward", stream, x.rows, x.cols, {dx, dy, x}, [&](auto n) {
      return ActivationBackward<T, decltype(n)::value>{Rows<T>(dx), Rows<const T>(dy), Rows<const T>(x),
                                                       kind};
    });
  });
}

void gated(Matrix h, Matrix gate_up, Activation kind, Stream stream) {
  dispatch(h.dtype, [&](auto zero) {
    using T = decltype(zero);
    // Both halves must begin well.
    const Matrix gate = gate_up.columns(0, h.cols), up = gate_up.columns(h.cols, h.cols);
    each_pack<T>("gated", stream, h.rows, h.cols, {h, gate, up}, [&](auto n) {
      return GatedForward<T, decltype(n)::value>{Rows<T>(h), Rows<const T>(gate_up), h.cols, kind};
    });
  });
}

void gated_backward(Matrix d_gate_up, Matrix h, Matrix dh, Matrix gate_up, Activation kind, Stream stream) {
  dispatch(dh.dtype, [&](auto zero) {
    using T = decltype(zero);
    const i64 width = dh.cols;
    const Matrix gate = gate_up.columns(0, width), up = gate_up.columns(width, width);
    const Matrix d_gate = d_gate_up.columns(0, width), d_up = d_gate_up.columns(width, width);
    each_pack<T>("gated_backward", stream, dh.rows, width, {d_gate, d_up, h, dh, gate, up}, [&](auto n) {
      return GatedBackward<T, decltype(n)::value>{Rows<T>(d_gate_up),     Rows<T>(h), Rows<const T>(dh),
                                                  Rows<const T>(gate_up), width,      kind};
    });
  });
}

}  // namespace longsight::ops::cuda
