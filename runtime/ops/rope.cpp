#include "runtime/ops/rope.h"

#include "runtime/ops/host_threads.h"

namespace longsight::ops {

void rope(Heads x, Tensor cos, Tensor sin, Turn turn, Stream) {
  check(x.width % 2 == 0, "rope: heads of odd width {}", x.width);
  const i64 half = x.width / 2, rows = x.rows();
  for (const Tensor* angles : {&cos, &sin}) {
    check(angles->shape().rank() == 2 && angles->rows() == rows && angles->row_size() == half &&
              angles->dtype() == x.matrix.dtype,
          "rope: angles {} {} for {} rows of {} heads of width {} in {}", name_of(angles->dtype()),
          angles->shape().text(), rows, x.heads, x.width, name_of(x.matrix.dtype));
  }
  dispatch(x.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const data = x.matrix.as<T>();
    const T *const cosines = cos.as<T>(), *const sines = sin.as<T>();
    const T sign = turn == Turn::forward ? T(1) : T(-1);
    parallel_items(rows, rows * x.matrix.cols, [&](i64 r) {
      const T *c = cosines + r * half, *s = sines + r * half;
      for (i64 h = 0; h < x.heads; ++h) {
        T* first = data + r * x.matrix.stride + h * x.width;
        T* second = first + half;
#pragma omp simd
        for (i64 i = 0; i < half; ++i) {
          const T a = first[i], b = second[i], turned = sign * s[i];
          first[i] = a * c[i] - b * turned;
          second[i] = b * c[i] + a * turned;
        }
      }
    });
  });
}

}  // namespace longsight::ops
