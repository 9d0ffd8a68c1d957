// Private to the executors for CUDA: sums over the rows of a matrix, in an order that depends on its shape
// alone.
#pragma once

#include "runtime/ops/cuda/views.h"

namespace longsight::ops::cuda {

// Block (part, tile): the sums over rows [part * rows_of_part, ...) of the columns of a tile, which are
// written to row `part` of `sums`, or added to it. Threads are 32 packs across and 8 rows down.
template <class T, class S, int N>
struct ColumnSums {
  static constexpr int kDown = 8, kAcross = lanes::kWarp * N;
  static constexpr int kThreads = kDown * lanes::kWarp;
  static constexpr i64 kSharedBytes = static_cast<i64>(sizeof(S)) * kDown * kAcross;

  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const i64 tile = lane.block() % tiles, part = lane.block() / tiles;
    const int across = lane.thread() % lanes::kWarp * N, down = lane.thread() / lanes::kWarp;
    const i64 column = tile * kAcross + across;
    const i64 begin = part * rows_of_part, end = begin + rows_of_part < rows ? begin + rows_of_part : rows;
    S mine[N] = {};
    if (column < columns) {
      for (i64 row = begin + down; row < end; row += kDown) {
        const Pack<T, N> values = load<N>(x.at(row, column));
        for (int i = 0; i < N; ++i) mine[i] += S(values[i]);
      }
    }
    S* const all = lane.template shared<S>();
    for (int i = 0; i < N; ++i) all[down * kAcross + across + i] = mine[i];
    lane.sync();
    for (int c = lane.thread(); c < kAcross && tile * kAcross + c < columns; c += kThreads) {
      S total = 0;
      for (int d = 0; d < kDown; ++d) total += all[d * kAcross + c];
      S& sum = *sums.at(part, tile * kAcross + c);
      sum = add ? sum + total : total;
    }
  }
  Rows<S> sums;
  Rows<const T> x;
  i64 rows, columns, rows_of_part, tiles;
  bool add;
};

// Rows of `x` are taken one part, or in so many parts as `sums` has rows.
template <class S, class T>
void queue_column_sums(const char* kernel, Rows<S> sums, i64 parts, bool add, Rows<const T> x, bool packed,
                       i64 rows, i64 columns, i64 rows_of_part, Stream stream) {
  const auto queue = [&](auto pack) {
    using Body = ColumnSums<T, S, decltype(pack)::value>;
    const i64 tiles = ceil_div(columns, Body::kAcross);
    launch(kernel, stream, {parts * tiles, Body::kThreads, Body::kSharedBytes},
           Body{sums, x, rows, columns, rows_of_part, tiles, add});
  };
  if (packed) {
    queue(std::integral_constant<int, kPack<T>>());
  } else {
    queue(std::integral_constant<int, 1>());
  }
}

// target [columns] += the rows of `partial`, which lie `stride` apart.
template <class S>
void add_partial_sums(const char* kernel, S* target, const S* partial, i64 rows, i64 stride, i64 columns,
                      Stream stream) {
  Rows<S> sums;
  sums.data = target;
  Rows<const S> x;
  x.data = partial;
  x.stride = stride;
  queue_column_sums<S, S>(kernel, sums, 1, true, x, false, rows, columns, rows, stream);
}

// target [columns] += the sum of the rows of x, of whose statistics' type S it is.
template <class T>
void add_column_sums(const char* kernel, const Tensor& target, const Matrix& x, Stream stream) {
  using S = Statistics<T>;
  if (x.rows == 0) return;
  // Parts enough to occupy a GPU, of enough rows to be worth a block.
  const i64 rows_of_part = std::max<i64>(64, ceil_div(x.rows, 128)), parts = ceil_div(x.rows, rows_of_part);
  const lanes::StreamArray<S> partial(checked_mul(parts, x.cols), stream);
  Rows<S> sums;
  sums.data = partial.data();
  sums.stride = x.cols;
  const bool packed = x.cols % kPack<T> == 0 && packs_begin_well(kPack<T>, x.rows, {x});
  queue_column_sums<S, T>(kernel, sums, parts, false, Rows<const T>(x), packed, x.rows, x.cols, rows_of_part,
                          stream);
  add_partial_sums<S>(kernel, elements<S>(target), partial.data(), parts, x.cols, x.cols, stream);
}

}  // namespace longsight::ops::cuda
