// One element of an AdamW step (Loshchilov and Hutter 2019), and the factor that clips gradients.
#pragma once

#include <cmath>
#include <limits>

#include "runtime/base/host_device.h"
#include "runtime/ops/adamw.h"

namespace longsight::ops::formulas {

// Scalars of a step, rounded once to the type of the values, after arithmetic in f64, as torch does.
template <class T>
struct AdamWRates {
  explicit AdamWRates(const AdamWOptions& options) {
    const auto step = static_cast<double>(options.step);
    const double correction1 = 1 - std::pow(options.beta1, step),
                 correction2 = 1 - std::pow(options.beta2, step);
    keep = static_cast<T>(1 - options.lr * options.weight_decay);
    eps = static_cast<T>(options.eps);
    new1 = static_cast<T>(1 - options.beta1);
    old2 = static_cast<T>(options.beta2);
    new2 = static_cast<T>(1 - options.beta2);
    root2 = static_cast<T>(std::sqrt(correction2));
    rate = static_cast<T>(options.lr / correction1);
  }
  T keep, eps, new1, old2, new2, root2, rate;
};

// `clip`: the factor of the gradient.
template <class T>
[[gnu::always_inline]] LONGSIGHT_HD inline void adamw_element(T& value, T gradient, T& first, T& second,
                                                              T clip, const AdamWRates<T>& rates) {
  const T d = gradient * clip;
  const T mean = first + rates.new1 * (d - first);
  const T square = second * rates.old2 + rates.new2 * d * d;
  first = mean;
  second = square;
  value = value * rates.keep - rates.rate * (mean / (std::sqrt(square) / rates.root2 + rates.eps));
}

// NaN where the norm or the loss is not finite.
LONGSIGHT_HD inline double clip_factor(double squares, double loss, double clip) {
  const double norm = std::sqrt(squares), factor = clip / (norm + 1e-6);
  if (!std::isfinite(norm) || !std::isfinite(loss)) return std::numeric_limits<double>::quiet_NaN();
  return factor < 1.0 ? factor : 1.0;
}

}  // namespace longsight::ops::formulas
