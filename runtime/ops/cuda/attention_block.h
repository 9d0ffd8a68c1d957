// Private to attention on CUDA: what the threads of a block do with tiles that lie in its shared memory. A
// tile has kTile rows; neighbouring threads share a row. All is computed in S. Inside of a tile indices are
// int: those of 64 bits take two registers each, which are scarce here.
#pragma once

#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/elementary.h"

namespace longsight::ops::cuda {

// Heads are up to kWidth wide.
template <class S, int kWidth>
struct AttentionBlock {
  // What all GPUs that are built for let a block have, less what they take.
  static constexpr i64 kMostShared = 160 * 1024;
  // Rows of a tile in shared memory: whole packs, and one more, so that rows begin in different banks.
  LANE_FN static int stride_of(int width) { return (width + 3) / 4 * 4 + 4; }
  static constexpr i64 row_bytes(i64 width) {
    return ((width + 3) / 4 * 4 + 4) * static_cast<i64>(sizeof(S));
  }
  // 32 where four tiles and their scores fit, else 16.
  static constexpr int kTile =
      4 * 32 * row_bytes(kWidth) + 2 * 32 * 33 * static_cast<i64>(sizeof(S)) <= kMostShared ? 32 : 16;
  static constexpr i64 tile_bytes(i64 width) { return kTile * row_bytes(width); }
  // Rows of a matrix of scores.
  static constexpr int kScoreStride = kTile + 1;
  static constexpr i64 kScoreBytes = (kTile * kScoreStride * static_cast<i64>(sizeof(S)) + 15) / 16 * 16;

  // Four threads have a row; of wide ones eight, so that the sums of a thread stay in registers.
  static constexpr int kOfRow = kWidth * static_cast<int>(sizeof(S)) > 512 ? 8 : 4;
  static constexpr int kThreads = kOfRow * kTile, kScores = kTile / kOfRow;
  // Packs of four columns that a thread has of a row.
  static constexpr int kPacks = kWidth / (4 * kOfRow);
  using Quad = Pack<S, 4>;

  // Where a second block of `tiles` tiles finds no room there, the first may have all registers.
  static constexpr int least_blocks(int tiles) {
    return 2 * tiles * tile_bytes(kWidth) > kMostShared ? 1 : 0;
  }

  // Columns of a thread's row, times weights.
  struct Sums {
    Quad at[kPacks];
  };

  LANE_FN static void clear(Sums& sums) {
    for (int p = 0; p < kPacks; ++p) {
      for (int i = 0; i < 4; ++i) sums.at[p][i] = S(0);
    }
  }

  // Brings `rows` rows of one head into shared memory; what is behind them, and behind the width, is zero. A
  // warp has a row at a time.
  template <class Lane, class T>
  LANE_FN static void fill(Lane& lane, S* tile, const T* from, i64 stride, int rows, int width) {
    const int to_stride = stride_of(width), warps = kThreads / lanes::kWarp;
    for (int row = lane.thread() / lanes::kWarp; row < kTile; row += warps) {
      for (int column = lane.thread() % lanes::kWarp; column < to_stride; column += lanes::kWarp)
        tile[row * to_stride + column] = row < rows && column < width ? S(from[row * stride + column]) : S(0);
    }
  }

  // scores[j] = row `row` of a times row (rank + kOfRow j) of b, for the thread's rank in its row.
  LANE_FN static void multiply(S (&scores)[kScores], const S* a, const S* b, int row, int rank, int width) {
    const int stride = stride_of(width);
    for (int j = 0; j < kScores; ++j) scores[j] = S(0);
    for (int c = 0; c < width; c += 4) {
      const Quad left = load<4>(a + row * stride + c);
      for (int j = 0; j < kScores; ++j) {
        const Quad right = load<4>(b + (rank + kOfRow * j) * stride + c);
        for (int i = 0; i < 4; ++i) scores[j] += left[i] * right[i];
      }
    }
  }

  // sums = sums * factor + row `row` of weights [kTile, kTile] times b.
  LANE_FN static void accumulate(Sums& sums, S factor, const S* weights, const S* b, int row, int rank,
                                 int width) {
    const int stride = stride_of(width);
    for (int p = 0; p < kPacks; ++p) {
      for (int i = 0; i < 4; ++i) sums.at[p][i] *= factor;
    }
    for (int k = 0; k < kTile; ++k) {
      const S weight = weights[row * kScoreStride + k];
      LANE_UNROLL
      for (int p = 0; p < kPacks; ++p) {
        const int c = 4 * (rank + kOfRow * p);
        if (c >= width) continue;
        const Quad right = load<4>(b + k * stride + c);
        for (int i = 0; i < 4; ++i) sums.at[p][i] += weight * right[i];
      }
    }
  }

  // The thread's columns times a factor, rounded once.
  template <class T>
  LANE_FN static void write(T* to, const Sums& sums, S factor, int rank, int width) {
    LANE_UNROLL
    for (int p = 0; p < kPacks; ++p) {
      const int c = 4 * (rank + kOfRow * p);
      for (int i = 0; i < 4; ++i) {
        if (c + i < width) to[c + i] = sums.at[p][i] * factor;
      }
    }
  }

  // The threads of a row.
  template <class Lane>
  LANE_FN static S sum_of_row(Lane& lane, S value) {
    for (int mask = 1; mask < kOfRow; mask *= 2) value += lane.shuffle_xor(value, mask);
    return value;
  }
  template <class Lane>
  LANE_FN static S largest_of_row(Lane& lane, S value) {
    for (int mask = 1; mask < kOfRow; mask *= 2) {
      const S other = lane.shuffle_xor(value, mask);
      value = value < other ? other : value;
    }
    return value;
  }
};

}  // namespace longsight::ops::cuda
