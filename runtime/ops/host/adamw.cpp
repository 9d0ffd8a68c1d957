#include "runtime/ops/host/adamw.h"

#include <cmath>
#include <limits>

#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

// Of plain pointers: inside a lambda GCC loads element by element through what was captured.
template <class T>
double squares(const T* x, i64 count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (i64 i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

}  // namespace

void adamw_step(Tensor value, Tensor gradient, Tensor first_moment, Tensor second_moment, Tensor scale,
                const AdamWOptions& options, Tensor copy) {
  const double factor = *scale.host<double>();
  if (std::isnan(factor)) return fill_zero(gradient, {});
  const i64 n = value.elements();
  const auto step = static_cast<double>(options.step);
  const double correction1 = 1 - std::pow(options.beta1, step),
               correction2 = 1 - std::pow(options.beta2, step);
  dispatch_statistics(value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *const p = value.host<T>(), *const g = gradient.host<T>();
    T *const m = first_moment.host<T>(), *const v = second_moment.host<T>();
    // Scalars are rounded once, after arithmetic in f64, as torch does.
    const T keep = static_cast<T>(1 - options.lr * options.weight_decay);
    const T clip = static_cast<T>(factor), eps = static_cast<T>(options.eps);
    const T new1 = static_cast<T>(1 - options.beta1);
    const T old2 = static_cast<T>(options.beta2), new2 = static_cast<T>(1 - options.beta2);
    const T root2 = static_cast<T>(std::sqrt(correction2)), rate = static_cast<T>(options.lr / correction1);
    bf16* const rounded = copy ? copy.host<bf16>() : nullptr;
    parallel_ranges(n, n, [&](i64 range, i64 range_count) {
      constexpr i64 kBlock = 2048;  // its values are still in the first-level cache when they are rounded
      for (i64 first = range; first < range + range_count; first += kBlock) {
        const i64 last = std::min(first + kBlock, range + range_count);
#pragma omp simd
        for (i64 i = first; i < last; ++i) {
          const T d = g[i] * clip;
          const T mean = m[i] + new1 * (d - m[i]);
          const T square = v[i] * old2 + new2 * d * d;
          m[i] = mean;
          v[i] = square;
          p[i] = p[i] * keep - rate * (mean / (std::sqrt(square) / root2 + eps));
          g[i] = T(0);
        }
        if (rounded == nullptr) continue;
#pragma omp simd
        for (i64 i = first; i < last; ++i) rounded[i] = static_cast<float>(p[i]);
      }
    });
  });
}

void sum_of_squares(Tensor sum, Tensor x) {
  constexpr i64 kBlock = 4096;
  struct Partials {};
  const i64 n = x.elements(), blocks = ceil_div(n, kBlock);
  auto* const partial =
      static_cast<double*>(thread_buffer<Partials>(blocks * static_cast<i64>(sizeof(double))));
  dispatch_statistics(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const v = x.host<T>();
    parallel_items(blocks, n,
                   [&](i64 b) { partial[b] = squares(v + b * kBlock, std::min(kBlock, n - b * kBlock)); });
  });
  double total = 0;
  for (i64 b = 0; b < blocks; ++b) total += partial[b];
  *sum.host<double>() += total;
}

void clip_scale(Tensor scale, Tensor squares, Tensor loss, double clip) {
  const double norm = std::sqrt(*squares.host<double>());
  const bool finite = std::isfinite(norm) && std::isfinite(*loss.host<double>());
  *scale.host<double>() =
      finite ? std::min(1.0, clip / (norm + 1e-6)) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace longsight::ops::host
