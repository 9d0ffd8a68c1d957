#include "runtime/ops/host/adamw.h"

#include <cmath>

#include "runtime/ops/formulas/adamw.h"
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
  dispatch_statistics(value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *const p = value.host<T>(), *const g = gradient.host<T>();
    T *const m = first_moment.host<T>(), *const v = second_moment.host<T>();
    const formulas::AdamWRates<T> rates(options);
    const T clip = static_cast<T>(factor);
    bf16* const rounded = copy ? copy.host<bf16>() : nullptr;
    parallel_ranges(n, n, [&](i64 range, i64 range_count) {
      constexpr i64 kBlock = 2048;  // its values are still in the first-level cache when they are rounded
      for (i64 first = range; first < range + range_count; first += kBlock) {
        const i64 last = std::min(first + kBlock, range + range_count);
#pragma omp simd
        for (i64 i = first; i < last; ++i) {
          formulas::adamw_element(p[i], g[i], m[i], v[i], clip, rates);
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
  *scale.host<double>() = formulas::clip_factor(*squares.host<double>(), *loss.host<double>(), clip);
}

}  // namespace longsight::ops::host
