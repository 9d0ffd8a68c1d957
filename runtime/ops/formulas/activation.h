// Values and slopes of the activation functions, for loops that the compiler vectorises.
#pragma once

#include <numbers>

#include "runtime/ops/activation.h"
#include "runtime/ops/formulas/elementary.h"

namespace longsight::ops::formulas {

template <class T>
struct ValueAndSlope {
  T value;
  T slope;
};

struct NoActivation {
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static T value(T x) {
    return x;
  }
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static ValueAndSlope<T> both(T x) {
    return {x, T(1)};
  }
};

struct Gelu {
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static T value(T x) {
    return T(0.5) * x * (T(1) + erf_of(x * T(std::numbers::sqrt2 / 2)));
  }
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static ValueAndSlope<T> both(T x) {
    const T phi = T(0.5) * (T(1) + erf_of(x * T(std::numbers::sqrt2 / 2)));
    const T density = exp_of(T(-0.5) * x * x) * T(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
    return {x * phi, phi + x * density};
  }
};

// 0.5 (1 + tanh(u)) = sigmoid(2 u), which keeps its relative precision where the result is small.
struct GeluTanh {
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static T twice_argument(T x) {
    return T(2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi) * (x + T(0.044715) * x * x * x);
  }
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static T value(T x) {
    return x * sigmoid_of(twice_argument(x));
  }
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static ValueAndSlope<T> both(T x) {
    const T s = sigmoid_of(twice_argument(x));
    const T inner = T(2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi) * (T(1) + T(3 * 0.044715) * x * x);
    return {x * s, s + x * s * (T(1) - s) * inner};
  }
};

struct QuickGelu {
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static T value(T x) {
    return x * sigmoid_of(T(1.702) * x);
  }
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static ValueAndSlope<T> both(T x) {
    const T s = sigmoid_of(T(1.702) * x);
    return {x * s, s + T(1.702) * x * s * (T(1) - s)};
  }
};

struct Silu {
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static T value(T x) {
    return x * sigmoid_of(x);
  }
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static ValueAndSlope<T> both(T x) {
    const T s = sigmoid_of(x);
    return {x * s, s + x * s * (T(1) - s)};
  }
};

struct Relu {
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static T value(T x) {
    return x < T(0) ? T(0) : x;  // NaN stays NaN
  }
  template <class T>
  [[gnu::always_inline]] LONGSIGHT_HD static ValueAndSlope<T> both(T x) {
    return {value(x), x > T(0) ? T(1) : T(0)};
  }
};

// Calls f(Silu{}) for Activation::silu, and so on.
template <class F>
LONGSIGHT_HD decltype(auto) with_activation(Activation activation, F&& f) {
  switch (activation) {
    case Activation::none:
      break;
    case Activation::gelu:
      return f(Gelu{});
    case Activation::gelu_tanh:
      return f(GeluTanh{});
    case Activation::quick_gelu:
      return f(QuickGelu{});
    case Activation::silu:
      return f(Silu{});
    case Activation::relu:
      return f(Relu{});
  }
  return f(NoActivation{});
}

}  // namespace longsight::ops::formulas
