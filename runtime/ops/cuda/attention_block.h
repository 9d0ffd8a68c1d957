// Private to attention on CUDA: what the threads of a block do with tiles that lie in its shared memory. A
// tile has kTile rows; four neighbouring threads have a row. All is computed in S.
#pragma once

#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/elementary.h"

namespace longsight::ops::cuda {

// kPacks: packs of four columns that a thread has of a row; heads are up to 16 * kPacks wide.
template <class S, int kTile, int kPacks>
struct AttentionBlock {
  static constexpr int kThreads = 4 * kTile, kOfRow = 4, kScores = kTile / kOfRow;
  using Quad = Pack<S, 4>;

  // Rows of a tile in shared memory: whole packs, and one more, so that rows begin in different banks.
  LANE_FN static i64 stride_of(i64 width) { return (width + 3) / 4 * 4 + 4; }
  // Rows of a matrix of scores.
  static constexpr int kScoreStride = kTile + 1;
  static constexpr i64 tile_bytes(i64 width) {
    return kTile * ((width + 3) / 4 * 4 + 4) * static_cast<i64>(sizeof(S));
  }
  static constexpr i64 kScoreBytes = (kTile * kScoreStride * static_cast<i64>(sizeof(S)) + 15) / 16 * 16;

  // Columns of a thread's row, times weights.
  struct Sums {
    Quad at[kPacks];
  };

  LANE_FN static void clear(Sums& sums) {
    for (int p = 0; p < kPacks; ++p) {
      for (int i = 0; i < 4; ++i) sums.at[p][i] = S(0);
    }
  }

  // Brings `rows` rows of one head into shared memory; what is behind them, and behind the width, is zero.
  template <class Lane, class T>
  LANE_FN static void fill(Lane& lane, S* tile, const T* from, i64 stride, i64 rows, i64 width) {
    const i64 to_stride = stride_of(width);
    for (i64 i = lane.thread(); i < kTile * to_stride; i += kThreads) {
      const i64 row = i / to_stride, column = i - row * to_stride;
      tile[i] = row < rows && column < width ? S(from[row * stride + column]) : S(0);
    }
  }

  // scores[j] = row `row` of a times row (rank + 4 j) of b, for the thread's rank in its row.
  LANE_FN static void multiply(S (&scores)[kScores], const S* a, const S* b, int row, int rank, i64 width) {
    const i64 stride = stride_of(width);
    for (int j = 0; j < kScores; ++j) scores[j] = S(0);
    for (i64 c = 0; c < width; c += 4) {
      const Quad left = load<4>(a + row * stride + c);
      for (int j = 0; j < kScores; ++j) {
        const Quad right = load<4>(b + (rank + kOfRow * j) * stride + c);
        for (int i = 0; i < 4; ++i) scores[j] += left[i] * right[i];
      }
    }
  }

  // sums = sums * factor + row `row` of weights [kTile, kTile] times b.
  LANE_FN static void accumulate(Sums& sums, S factor, const S* weights, const S* b, int row, int rank,
                                 i64 width) {
    const i64 stride = stride_of(width);
    for (int p = 0; p < kPacks; ++p) {
      for (int i = 0; i < 4; ++i) sums.at[p][i] *= factor;
    }
    for (int k = 0; k < kTile; ++k) {
      const S weight = weights[row * kScoreStride + k];
      LANE_UNROLL
      for (int p = 0; p < kPacks; ++p) {
        const i64 c = 4 * (rank + kOfRow * p);
        if (c >= width) continue;
        const Quad right = load<4>(b + k * stride + c);
        for (int i = 0; i < 4; ++i) sums.at[p][i] += weight * right[i];
      }
    }
  }

  // The thread's columns times a factor, rounded once.
  template <class T>
  LANE_FN static void write(T* to, const Sums& sums, S factor, int rank, i64 width) {
    LANE_UNROLL
    for (int p = 0; p < kPacks; ++p) {
      const i64 c = 4 * (rank + kOfRow * p);
      for (int i = 0; i < 4; ++i) {
        if (c + i < width) to[c + i] = sums.at[p][i] * factor;
      }
    }
  }

  // The four threads of a row.
  template <class Lane>
  LANE_FN static S sum_of_row(Lane& lane, S value) {
    value += lane.shuffle_xor(value, 1);
    return value + lane.shuffle_xor(value, 2);
  }
  template <class Lane>
  LANE_FN static S largest_of_row(Lane& lane, S value) {
    S other = lane.shuffle_xor(value, 1);
    value = value < other ? other : value;
    other = lane.shuffle_xor(value, 2);
    return value < other ? other : value;
  }
};

}  // namespace longsight::ops::cuda
