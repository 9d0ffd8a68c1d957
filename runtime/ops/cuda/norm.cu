// A row is read once from the GPU's memory: what is read of it again is still in the cache nearby.
#include "runtime/device/lanes/reduce.h"
#include "runtime/ops/cuda/column_sums.h"
#include "runtime/ops/cuda/norm.h"
#include "runtime/ops/formulas/norm.h"

namespace longsight::ops::cuda {
namespace {

using lanes::RowGrid;
using lanes::Team;

// The columns of a thread, pack by pack.
template <int N, class Lane, class F>
LANE_FN void each_column(const Team<Lane>& team, i64 width, F&& f) {
  for (i64 c = i64{team.rank} * N; c < width; c += i64{team.size} * N) f(c);
}

template <class T, int N>
struct RmsForward {
  using S = Statistics<T>;
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    Team<Lane> team(lane, team_size);
    if (team.row >= rows) return;
    const T* const from = x + team.row * width;
    S r;
    if (again) {
      r = rstd[team.row];
    } else {
      S squares = 0;
      each_column<N>(team, width, [&](i64 c) {
        const Pack<T, N> v = load<N>(from + c);
        for (int i = 0; i < N; ++i) squares += S(v[i]) * S(v[i]);
      });
      r = formulas::reciprocal_root(team.sum(squares) / static_cast<S>(width), eps);
      if (team.rank == 0) rstd[team.row] = r;
    }
    each_column<N>(team, width, [&](i64 c) {
      const Pack<T, N> v = load<N>(from + c), g = load<N>(gain + c);
      Pack<T, N> out;
      for (int i = 0; i < N; ++i) out[i] = formulas::rms_value<S>(v[i], r, g[i], offset);
      store(y + team.row * width + c, out);
    });
  }
  T* y;
  S* rstd;
  const T *x, *gain;
  i64 rows, width;
  S eps, offset;
  int team_size;
  bool again;
};

template <class T, int N>
struct LayerForward {
  using S = Statistics<T>;
  static constexpr int kLeastBlocks = sizeof(S) == 8 ? 2 : 0;  // divisions of f64 take many registers
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    Team<Lane> team(lane, team_size);
    if (team.row >= rows) return;
    const T* const from = x + team.row * width;
    S m, r;
    if (again) {
      m = mean[team.row];
      r = rstd[team.row];
    } else {
      S sum = 0;
      each_column<N>(team, width, [&](i64 c) {
        const Pack<T, N> v = load<N>(from + c);
        for (int i = 0; i < N; ++i) sum += S(v[i]);
      });
      m = team.sum(sum) / static_cast<S>(width);
      S squares = 0;
      each_column<N>(team, width, [&](i64 c) {
        const Pack<T, N> v = load<N>(from + c);
        for (int i = 0; i < N; ++i) squares += (S(v[i]) - m) * (S(v[i]) - m);
      });
      r = formulas::reciprocal_root(team.sum(squares) / static_cast<S>(width), eps);
      if (team.rank == 0) {
        mean[team.row] = m;
        rstd[team.row] = r;
      }
    }
    each_column<N>(team, width, [&](i64 c) {
      const Pack<T, N> v = load<N>(from + c), g = load<N>(gain + c), b = load<N>(bias + c);
      Pack<T, N> out;
      for (int i = 0; i < N; ++i) out[i] = formulas::layer_value<S>(v[i], m, r, g[i], b[i]);
      store(y + team.row * width + c, out);
    });
  }
  T* y;
  S *mean, *rstd;
  const T *x, *gain, *bias;
  i64 rows, width;
  S eps;
  int team_size;
  bool again;
};

// Sums over a row.
template <class S>
struct Dots {
  LANE_FN Dots operator+(const Dots& other) const { return {dot + other.dot, sum + other.sum}; }
  S dot, sum;
};

// What an element takes part in: sums over its row, then its gradient, then sums over all rows.
template <class S>
struct RmsRow {
  static constexpr int kVectors = 1;
  LANE_FN Dots<S> dots(S dy, S x, S gain) const { return {dy * (gain + offset) * x, S(0)}; }
  LANE_FN void finish(const Dots<S>& sums, S width) { pull = formulas::rms_pull(sums.dot, rstd, width); }
  LANE_FN S slope(S dy, S x, S gain) const { return formulas::rms_slope<S>(dy, x, rstd, gain, offset, pull); }
  LANE_FN void add(S* sums, i64, S dy, S x) const { sums[0] += dy * x * rstd; }
  S rstd, mean, offset;
  S pull = 0;
};

template <class S>
struct LayerRow {
  static constexpr int kVectors = 2;
  LANE_FN S normal(S x) const { return (x - mean) * rstd; }
  LANE_FN Dots<S> dots(S dy, S x, S gain) const { return {dy * gain * normal(x), dy * gain}; }
  LANE_FN void finish(const Dots<S>& sums, S width) {
    mean_sum = sums.sum / width;
    mean_dot = sums.dot / width;
  }
  LANE_FN S slope(S dy, S x, S gain) const {
    return formulas::layer_slope<S>(dy, normal(x), rstd, gain, mean_sum, mean_dot);
  }
  LANE_FN void add(S* sums, i64 width, S dy, S x) const {
    sums[0] += dy * normal(x);
    sums[width] += dy;
  }
  S rstd, mean, offset;
  S mean_sum = 0, mean_dot = 0;
};

// Block: the rows of a part, dealt over its teams. Sums over rows of a column belong to the thread that has
// the column in its team's row; those of the teams are put together in their order.
template <class T, int N, class Row>
struct NormBackward {
  using S = Statistics<T>;
  static constexpr int kVectors = Row::kVectors;
  static constexpr int kLeastBlocks = 2;  // of 512 threads, which may then have 64 registers

  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    Team<Lane> team(lane, team_size);
    const int teams = lane.threads() / team_size, mine = lane.thread() / team_size;
    const i64 vectors = kVectors * width;
    S* const of_block = partial == nullptr ? nullptr : partial + lane.block() * vectors;
    S* sums = of_block;
    if (sums != nullptr && sums_in_shared)
      sums = lane.template shared<S>(lanes::kReduceBytes) + mine * vectors;
    if (sums != nullptr) {
      each_column<N>(team, width, [&](i64 c) {
        for (int i = 0; i < N; ++i) {
          for (int v = 0; v < kVectors; ++v) sums[v * width + c + i] = S(0);
        }
      });
    }
    const i64 begin = lane.block() * rows_of_part,
              end = begin + rows_of_part < rows ? begin + rows_of_part : rows;
    for (i64 row = begin + mine; row < end; row += teams) {
      const T *const upstream = dy + row * width, *const in = x + row * width;
      Row element{rstd[row], mean == nullptr ? S(0) : mean[row], offset};
      Dots<S> dots{};
      each_column<N>(team, width, [&](i64 c) {
        const Pack<T, N> d = load<N>(upstream + c), v = load<N>(in + c), g = load<N>(gain + c);
        for (int i = 0; i < N; ++i) dots = dots + element.dots(S(d[i]), S(v[i]), S(g[i]));
      });
      element.finish(team.sum(dots), static_cast<S>(width));
      each_column<N>(team, width, [&](i64 c) {
        const Pack<T, N> d = load<N>(upstream + c), v = load<N>(in + c), g = load<N>(gain + c);
        Pack<T, N> out = load<N>(dx + row * width + c);
        for (int i = 0; i < N; ++i) {
          out[i] = S(out[i]) + element.slope(S(d[i]), S(v[i]), S(g[i]));
          if (sums != nullptr) element.add(sums + c + i, width, S(d[i]), S(v[i]));
        }
        store(dx + row * width + c, out);
      });
    }
    if (sums == nullptr || !sums_in_shared) return;
    lane.sync();
    const S* const all = lane.template shared<S>(lanes::kReduceBytes);
    for (i64 c = lane.thread(); c < vectors; c += lane.threads()) {
      S total = 0;
      for (int t = 0; t < teams; ++t) total += all[t * vectors + c];
      of_block[c] = total;
    }
  }
  T* dx;
  S* partial;  // [parts, vectors * width], or null: no sums are wanted
  const T *dy, *x, *gain;
  const S *mean, *rstd;
  i64 rows, width, rows_of_part;
  S offset;
  int team_size;
  bool sums_in_shared;
};

template <class T, class Row>
void norm_backward(const char* kernel, const Tensor& dx, std::initializer_list<Tensor> targets,
                   const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                   const Tensor& gain, double offset, Stream stream) {
  using S = Statistics<T>;
  const i64 rows = x.rows(), width = x.row_size(), vectors = Row::kVectors * width;
  if (rows == 0 || width == 0) return;
  // Parts depend on the number of rows alone, and so does the order of the sums.
  const i64 rows_of_part = std::max<i64>(8, ceil_div(rows, 1024)), parts = ceil_div(rows, rows_of_part);
  const bool wanted = std::any_of(targets.begin(), targets.end(), [](const Tensor& t) { return bool(t); });
  const lanes::StreamArray<S> partial(wanted ? checked_mul(parts, vectors) : 0, stream);
  with_pack<T>(width, {dx, dy, x, Matrix(gain.reshape({1, width}))}, [&](auto pack) {
    constexpr int kElements = decltype(pack)::value;
    const RowGrid of_rows(rows, width / kElements);
    const i64 teams = of_rows.grid.threads / of_rows.team;
    // Every GPU that is built for has so much for a block; rows that are longer keep their sums in its
    // memory.
    const i64 shared = teams * vectors * static_cast<i64>(sizeof(S));
    const bool in_shared = shared <= 96 * 1024;
    check(in_shared || teams == 1, "{}: rows of {} are shared by teams", kernel, width);
    launch(kernel, stream,
           {parts, of_rows.grid.threads,
            static_cast<i64>(lanes::kReduceBytes) + (wanted && in_shared ? shared : 0)},
           NormBackward<T, kElements, Row>{
               elements<T>(dx), partial.data(), elements<const T>(dy), elements<const T>(x),
               elements<const T>(gain), elements_or_null<const S>(mean), elements<const S>(rstd), rows, width,
               rows_of_part, static_cast<S>(offset), of_rows.team, in_shared});
  });
  i64 vector = 0;
  for (const Tensor& target : targets) {
    if (target)
      add_partial_sums<S>(kernel, elements<S>(target), partial.data() + vector * width, parts, vectors, width,
                          stream);
    ++vector;
  }
}

template <class T>
void rms_forward(const char* kernel, const Tensor& y, const Tensor& rstd, const Tensor& x, const Tensor& gain,
                 double eps, double offset, bool again, Stream stream) {
  using S = Statistics<T>;
  const i64 rows = x.rows(), width = x.row_size();
  with_pack<T>(width, {y, x, Matrix(gain.reshape({1, width}))}, [&](auto pack) {
    constexpr int kElements = decltype(pack)::value;
    const RowGrid of_rows(rows, width / kElements);
    launch(kernel, stream, of_rows.grid,
           RmsForward<T, kElements>{elements<T>(y), elements<S>(rstd), elements<const T>(x),
                                    elements<const T>(gain), rows, width, static_cast<S>(eps),
                                    static_cast<S>(offset), of_rows.team, again});
  });
}

template <class T>
void layer_forward(const char* kernel, const Tensor& y, const Tensor& mean, const Tensor& rstd,
                   const Tensor& x, const Tensor& gain, const Tensor& bias, double eps, bool again,
                   Stream stream) {
  using S = Statistics<T>;
  const i64 rows = x.rows(), width = x.row_size();
  const auto row = [width](const Tensor& vector) { return Matrix(vector.reshape({1, width})); };
  with_pack<T>(width, {y, x, row(gain), row(bias)}, [&](auto pack) {
    constexpr int kElements = decltype(pack)::value;
    const RowGrid of_rows(rows, width / kElements);
    launch(kernel, stream, of_rows.grid,
           LayerForward<T, kElements>{elements<T>(y), elements<S>(mean), elements<S>(rstd),
                                      elements<const T>(x), elements<const T>(gain), elements<const T>(bias),
                                      rows, width, static_cast<S>(eps), of_rows.team, again});
  });
}

}  // namespace

void rms_norm(Tensor y, Tensor rstd, Tensor x, Tensor gain, double eps, double offset, Stream stream) {
  dispatch(x.dtype(), [&](auto zero) {
    rms_forward<decltype(zero)>("rms_norm", y, rstd, x, gain, eps, offset, false, stream);
  });
}

void rms_norm_again(Tensor y, Tensor x, Tensor rstd, Tensor gain, double offset, Stream stream) {
  dispatch(x.dtype(), [&](auto zero) {
    rms_forward<decltype(zero)>("rms_norm_again", y, rstd, x, gain, 0, offset, true, stream);
  });
}

void rms_norm_backward(Tensor dx, Tensor d_gain, Tensor dy, Tensor x, Tensor rstd, Tensor gain, double offset,
                       Stream stream) {
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    norm_backward<T, RmsRow<Statistics<T>>>("rms_norm_backward", dx, {d_gain}, dy, x, {}, rstd, gain, offset,
                                            stream);
  });
}

void layer_norm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gain, Tensor bias, double eps,
                Stream stream) {
  dispatch(x.dtype(), [&](auto zero) {
    layer_forward<decltype(zero)>("layer_norm", y, mean, rstd, x, gain, bias, eps, false, stream);
  });
}

void layer_norm_again(Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gain, Tensor bias, Stream stream) {
  dispatch(x.dtype(), [&](auto zero) {
    layer_forward<decltype(zero)>("layer_norm_again", y, mean, rstd, x, gain, bias, 0, true, stream);
  });
}

void layer_norm_backward(Tensor dx, Tensor d_gain, Tensor d_bias, Tensor dy, Tensor x, Tensor mean,
                         Tensor rstd, Tensor gain, Stream stream) {
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    norm_backward<T, LayerRow<Statistics<T>>>("layer_norm_backward", dx, {d_gain, d_bias}, dy, x, mean, rstd,
                                              gain, 0, stream);
  });
}

}  // namespace longsight::ops::cuda
