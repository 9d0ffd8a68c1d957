#include "runtime/device/lanes/reduce.h"
#include "runtime/ops/cuda/row_scale.h"
#include "runtime/ops/cuda/views.h"

namespace longsight::ops::cuda {
namespace {

template <class T, int N>
struct ScaleRows {
  LANE_FN void operator()(i64 row, i64 column) const {
    const Statistics<T> factor = scale[row];
    const Pack<T, N> in = load<N>(x.at(row, column));
    Pack<T, N> out;
    for (int i = 0; i < N; ++i) out[i] = factor * Statistics<T>(in[i]);
    store(y.at(row, column), out);
  }
  Rows<T> y;
  Rows<const T> x;
  const T* scale;
};

// A team for each row: the sum over it, and its gradient, of which each may be unwanted.
template <class T, int N>
struct ScaleRowsBackward {
  using S = Statistics<T>;
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    lanes::Team<Lane> team(lane, team_size);
    if (team.row >= rows) return;
    const S factor = scale[team.row];
    S dot = 0;
    for (i64 c = i64{team.rank} * N; c < columns; c += i64{team.size} * N) {
      const Pack<S, N> d = load<N>(dy.at(team.row, c));
      if (d_scale != nullptr) {
        const Pack<T, N> v = load<N>(x.at(team.row, c));
        for (int i = 0; i < N; ++i) dot += d[i] * S(v[i]);
      }
      if (dx) {
        Pack<S, N> out = load<N>(dx.at(team.row, c));
        for (int i = 0; i < N; ++i) out[i] += factor * d[i];
        store(dx.at(team.row, c), out);
      }
    }
    if (d_scale == nullptr) return;
    dot = team.sum(dot);
    if (team.rank == 0) d_scale[team.row] += dot;
  }
  Rows<S> dx;
  S* d_scale;
  Rows<const S> dy;
  Rows<const T> x;
  const T* scale;
  i64 rows, columns;
  int team_size;
};

template <class T, int N>
struct ScaleMatrix {
  LANE_FN void operator()(i64 row, i64 column) const {
    Pack<T, N> values = load<N>(x.at(row, column));
    for (int i = 0; i < N; ++i) values[i] = Statistics<T>(values[i]) * factor;
    store(x.at(row, column), values);
  }
  Rows<T> x;
  Statistics<T> factor;
};

}  // namespace

void scale_rows(Matrix y, Matrix x, Tensor scale, Stream stream) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_pack<T>(x.cols, {y, x}, [&](auto pack) {
      constexpr int kElements = decltype(pack)::value;
      const ScaleRows<T, kElements> f{Rows<T>(y), Rows<const T>(x), elements<const T>(scale)};
      launch("scale_rows", stream, lanes::grid_of_items(x.rows * (x.cols / kElements)),
             EachPack<kElements, ScaleRows<T, kElements>>{x.rows, 0, x.cols, f});
    });
  });
}

void scale_rows_backward(Matrix dx, Tensor d_scale, Matrix dy, Matrix x, Tensor scale, Stream stream) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    with_pack<T>(x.cols, {dx, dy, x}, [&](auto pack) {
      constexpr int kElements = decltype(pack)::value;
      const lanes::RowGrid of_rows(x.rows, x.cols / kElements);
      launch("scale_rows_backward", stream, of_rows.grid,
             ScaleRowsBackward<T, kElements>{Rows<S>(dx), elements_or_null<S>(d_scale), Rows<const S>(dy),
                                             Rows<const T>(x), elements<const T>(scale), x.rows, x.cols,
                                             of_rows.team});
    });
  });
}

void scale_matrix(Matrix x, double factor, Stream stream) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    each_pack<T>("scale_matrix", stream, x.rows, x.cols, {x}, [&](auto pack) {
      return ScaleMatrix<T, decltype(pack)::value>{Rows<T>(x), static_cast<Statistics<T>>(factor)};
    });
  });
}

}  // namespace longsight::ops::cuda
