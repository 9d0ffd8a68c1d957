#include "runtime/ops/host/rope.h"

#include <cmath>

#include "runtime/ops/formulas/rope.h"
#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {

void rope(Heads x, Tensor cos, Tensor sin, Turn turn) {
  const i64 half = x.width / 2, rows = x.rows();
  dispatch(x.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    T* const data = x.matrix.host<T>();
    const S *const cosines = cos.host<S>(), *const sines = sin.host<S>();
    const S sign = turn == Turn::forward ? S(1) : S(-1);
    parallel_items(rows, rows * x.matrix.cols, [&](i64 r) {
      const S *c = cosines + r * half, *s = sines + r * half;
      for (i64 h = 0; h < x.heads; ++h) {
        T* first = data + r * x.matrix.stride + h * x.width;
        T* second = first + half;
#pragma omp simd
        for (i64 i = 0; i < half; ++i) {
          const S a = first[i], b = second[i], turned = sign * s[i];
          first[i] = formulas::turned_first(a, b, c[i], turned);
          second[i] = formulas::turned_second(a, b, c[i], turned);
        }
      }
    });
  });
}

void rope_angles(Tensor cos, Tensor sin, const RopeAngles& angles, Stream stream) {
  const i64 half = angles.half;
  const std::span<const i64> positions = angles.positions.on(stream), axis = angles.axis.on(stream),
                             sets = angles.set.on(stream);
  const std::span<const float> frequencies = angles.inverse.on(stream);
  dispatch_statistics(cos.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *const cosines = cos.host<T>(), *const sines = sin.host<T>();
    parallel_items(angles.rows, 16 * angles.rows * half, [&](i64 row) {
      const i64* position = positions.data() + row * angles.axes;
      const i64 set = sets.empty() ? 0 : sets[static_cast<std::size_t>(row)];
      const float* inverse = frequencies.data() + set * half;
      for (i64 i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position[axis[static_cast<std::size_t>(i)]]) * inverse[i];
        cosines[row * half + i] = static_cast<T>(angles.factor * std::cos(angle));
        sines[row * half + i] = static_cast<T>(angles.factor * std::sin(angle));
      }
    });
  });
}

}  // namespace longsight::ops::host
