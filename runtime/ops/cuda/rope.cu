#include "runtime/ops/cuda/rope.h"
#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/rope.h"

namespace longsight::ops::cuda {
namespace {

// Row of EachPack: a head of a row of x; column: of its first half.
template <class T, int N>
struct TurnHeads {
  using S = Statistics<T>;
  LANE_FN void operator()(i64 head_of_row, i64 column) const {
    const i64 row = quotient(head_of_row, heads), head = head_of_row - row * heads;
    T* const first = x.at(row, head * 2 * half + column);
    T* const second = first + half;
    Pack<T, N> a = load<N>(first), b = load<N>(second);
    const Pack<S, N> c = load<N>(cos + row * half + column), s = load<N>(sin + row * half + column);
    for (int i = 0; i < N; ++i) {
      const S one = a[i], other = b[i], turned = sign * s[i];
      a[i] = formulas::turned_first(one, other, c[i], turned);
      b[i] = formulas::turned_second(one, other, c[i], turned);
    }
    store(first, a);
    store(second, b);
  }
  Rows<T> x;
  const S *cos, *sin;
  i64 heads, half;
  S sign;
};

// In f64: angles of long sequences need all digits before they are turned round.
template <class S>
struct Angles {
  LANE_FN void operator()(i64 row, i64 i) const {
    const i64 of_set = set == nullptr ? 0 : set[row];
    const double angle = static_cast<double>(positions[row * axes + axis[i]]) *
                         static_cast<double>(inverse[of_set * half + i]);
    cos[row * half + i] = static_cast<S>(factor * std::cos(angle));
    sin[row * half + i] = static_cast<S>(factor * std::sin(angle));
  }
  S *cos, *sin;
  const i64 *positions, *axis, *set;
  const float* inverse;
  i64 axes, half;
  double factor;
};

}  // namespace

void rope(Heads x, Tensor cos, Tensor sin, Turn turn, Stream stream) {
  const i64 half = x.width / 2, rows = x.rows();
  dispatch(x.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    // The second halves must begin well too, and so does every head then.
    const Matrix second(static_cast<T*>(x.matrix.data) + half, x.matrix.dtype, rows, half, x.matrix.stride,
                        x.matrix.backend);
    with_pack<T>(half, {x.matrix, second, cos, sin}, [&](auto pack) {
      constexpr int kElements = decltype(pack)::value;
      const TurnHeads<T, kElements> f{Rows<T>(x.matrix),
                                      elements<const S>(cos),
                                      elements<const S>(sin),
                                      x.heads,
                                      half,
                                      turn == Turn::forward ? S(1) : S(-1)};
      launch("rope", stream, lanes::grid_of_items(rows * x.heads * (half / kElements)),
             EachPack<kElements, TurnHeads<T, kElements>>{rows * x.heads, 0, half, f});
    });
  });
}

void rope_angles(Tensor cos, Tensor sin, const RopeAngles& angles, Stream stream) {
  dispatch_statistics(cos.dtype(), [&](auto zero) {
    using S = decltype(zero);
    const Angles<S> f{elements<S>(cos),
                      elements<S>(sin),
                      angles.positions.on(stream).data(),
                      angles.axis.on(stream).data(),
                      angles.set.on(stream).data(),
                      angles.inverse.on(stream).data(),
                      angles.axes,
                      angles.half,
                      angles.factor};
    launch("rope_angles", stream, lanes::grid_of_items(angles.rows * angles.half),
           EachPack<1, Angles<S>>{angles.rows, 0, angles.half, f});
  });
}

}  // namespace longsight::ops::cuda
