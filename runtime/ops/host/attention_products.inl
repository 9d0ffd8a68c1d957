// The products of a tile: kStrip rows x 2 vectors at a time stay in registers.
#pragma once

#include "runtime/ops/host/attention_copies.inl"
#include "runtime/ops/host/attention_mask.inl"

namespace longsight::ops::host {
namespace {

// Steps of depth between two calls of Upcoming::step().
template <class T>
constexpr i64 kPace = kLanes<T> < 8 ? kLanes<T> : 8;

// Rows that are copied soon. The products bring them into the second-level cache evenly, along their depth:
// many at once would wait for each other. They lie a whole model row apart, which no hardware prefetcher
// follows.
class Upcoming {
 public:
  explicit Upcoming(i64 width) : width_(width) {}
  template <class In>
  void add(const In* rows, i64 stride, i64 count) {
    if (count <= 0) return;
    constexpr i64 bytes = sizeof(In);
    blocks_[held_++] = {reinterpret_cast<const char*>(rows), stride * bytes, width_ * bytes, count};
    rows_ += count;
  }
  // Over so many calls of step().
  void spread(i64 steps) {
    steps_ = steps;
    open();
  }
  LONGSIGHT_INLINE void step() {
    for (due_ += rows_; due_ >= steps_; due_ -= steps_) {
      for (i64 b = 0; b < now_.width; b += kLine) __builtin_prefetch(now_.rows + b, 0, 2);
      now_.rows += now_.stride;
      if (--now_.count == 0) open();
    }
  }

 private:
  static constexpr i64 kLine = 64;
  struct Block {
    const char* rows;
    i64 stride, width, count;  // in bytes, and rows
  };
  void open() {
    if (at_ < held_) {
      now_ = blocks_[at_++];
    } else {
      rows_ = 0;
      due_ = 0;
      steps_ = 1;
    }
  }
  Block now_ = {}, blocks_[7];
  i64 width_, rows_ = 0, steps_ = 1, due_ = 0;  // due: of a row, in units of 1 / steps
  int held_ = 0, at_ = 0;
};

// sum[r][v] += a[r * kStep + k * kAdvance] * b[v * b_panel + k * L] over k.
template <class T, int M, int N, i64 kStep, i64 kAdvance>
LONGSIGHT_INLINE void accumulate(Vec<T> (&sum)[M][N], const T* a, const T* b, i64 b_panel, i64 depth) {
#pragma GCC unroll 4
  for (i64 k = 0; k < depth; ++k) {
    Vec<T> right[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) right[v] = load(b + v * b_panel + k * kLanes<T>);
#pragma GCC unroll 16
    for (int r = 0; r < M; ++r) {
      const Vec<T> left = splat(a[r * kStep + k * kAdvance]);
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] += left * right[v];
    }
  }
}

// c (scores) = a (panels) * b (transposed).
template <class T, int M, int N, i64 kLd>
void product_scores(T* c, i64, const T* a, i64 a_panel, const T* b, i64 b_panel, i64 depth,
                    Upcoming& upcoming) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  for (; depth >= L; depth -= L, a += a_panel, b += L * L) {
    for (i64 k = 0; k < L; k += kPace<T>) {
      upcoming.step();
      accumulate<T, M, N, L, 1>(sum, a + k, b + k * L, b_panel, kPace<T>);
    }
  }
  if (depth > 0) accumulate<T, M, N, L, 1>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + r * kLd + v * L, sum[r][v]);
}

// c (panels) = or, with kAdd, += a (scores)^T * b (panels).
template <class T, bool kAdd, int M, int N, i64 kLd>
void product_columns(T* c, i64 c_panel, const T* a, i64, const T* b, i64 b_panel, i64 depth,
                     Upcoming& upcoming) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  for (; depth >= kPace<T>; depth -= kPace<T>, a += kPace<T> * kLd, b += kPace<T> * L) {
    upcoming.step();
    accumulate<T, M, N, 1, kLd>(sum, a, b, b_panel, kPace<T>);
  }
  accumulate<T, M, N, 1, kLd>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      T* const to = c + v * c_panel + r * L;
      store<T>(to, kAdd ? load(to) + sum[r][v] : sum[r][v]);
    }
}

// c (panels) = a (scores) * b (panels).
template <class T, int M, int N, i64 kLd>
void product_rows(T* c, i64 c_panel, const T* a, i64, const T* b, i64 b_panel, i64 depth,
                  Upcoming& upcoming) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  for (; depth >= kPace<T>; depth -= kPace<T>, a += kPace<T>, b += kPace<T> * L) {
    upcoming.step();
    accumulate<T, M, N, kLd, 1>(sum, a, b, b_panel, kPace<T>);
  }
  accumulate<T, M, N, kLd, 1>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + v * c_panel + r * L, sum[r][v]);
}

template <class T>
using Product = void (*)(T* c, i64 c_panel, const T* a, i64 a_panel, const T* b, i64 b_panel, i64 depth,
                         Upcoming& upcoming);
template <class T>
struct ProductTable {
  Product<T> one[kStrip + 1] = {};  // by rows, N = 1
  Product<T> two[kStrip + 1] = {};
};

template <class T, i64 kLd>
struct Products {
  ProductTable<T> scores, columns, added_columns, rows;
  constexpr Products() { fill<kStrip>(); }

 private:
  template <int M>
  constexpr void fill() {
    scores.one[M] = product_scores<T, M, 1, kLd>;
    scores.two[M] = product_scores<T, M, 2, kLd>;
    columns.one[M] = product_columns<T, false, M, 1, kLd>;
    columns.two[M] = product_columns<T, false, M, 2, kLd>;
    added_columns.one[M] = product_columns<T, true, M, 1, kLd>;
    added_columns.two[M] = product_columns<T, true, M, 2, kLd>;
    rows.one[M] = product_rows<T, M, 1, kLd>;
    rows.two[M] = product_rows<T, M, 2, kLd>;
    if constexpr (M > 1) fill<M - 1>();
  }
};
template <class T, i64 kLd>
constexpr Products<T, kLd> kProducts;

// Even strips: 65 rows are 5 of 11 and one of 10, not 5 of 12 and a slow one of 5.
template <class F>
LONGSIGHT_INLINE void for_strips(i64 rows, F f) {
  const i64 strips = vectors_of(rows, kStrip);
  i64 first = 0;
  for (i64 s = 0; s < strips; ++s) {
    const i64 count = rows / strips + (s < rows % strips);
    f(first, count);
    first += count;
  }
}

// Calls of Upcoming::step() in a product of so many rows (in strips), columns (two vectors at a time) and
// depth.
template <class T>
LONGSIGHT_INLINE i64 product_steps(i64 rows, i64 columns, i64 depth) {
  return vectors_of(rows, kStrip) * vectors_of(columns, 2 * kLanes<T>) * (depth / kPace<T>);
}

// Columns [0, few) of c (scores) = a (panels) * b^T, b as panels of kFew<T> rows; further lanes of the vector
// become zero. Sums over lanes are taken for L rows at a time.
template <class T, i64 kLd>
LONGSIGHT_INLINE void few_scores(T* c, const T* a, i64 a_panel, i64 rows, const T* b, i64 few, i64 depth) {
  constexpr i64 L = kLanes<T>;
  for (i64 first = 0; first < rows; first += L) {
    const i64 count = clamped(rows - first, 0, L);
    for (i64 i = 0; i < count; ++i) store<T>(c + (first + i) * kLd, Vec<T>{});
    for (i64 j = 0; j < few; ++j) {
      Vec<T> sum[L] = {};
      for (i64 panel = 0; panel < vectors_of(depth, L); ++panel) {
        const Vec<T> right = load(b + (panel * kFew<T> + j) * L);
        // Rows behind the last one are read from the scratch, and not used.
#pragma GCC unroll 16
        for (i64 i = 0; i < L; ++i) sum[i] += load(a + panel * a_panel + (first + i) * L) * right;
      }
      T total[L];
      store<T>(total, sums_over_lanes<T>(sum));
      for (i64 i = 0; i < count; ++i) c[(first + i) * kLd + j] = total[i];
    }
  }
}

// c [rows, columns] = a [rows, depth] b^T; `needed` gives the columns wanted of a strip, others are left
// undefined.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_scores(T* c, const T* a, i64 a_panel, i64 rows, const T* b, i64 columns, i64 depth,
                                  Upcoming& upcoming, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.scores;
  const i64 few = few_of<T>(columns), vectors = vectors_of(columns - few, L), b_panel = depth * L;
  if (few > 0) few_scores<T, kLd>(c + vectors * L, a, a_panel, rows, b + vectors * b_panel, few, depth);
  for (i64 v = 0; v < vectors; v += 2) {
    for_strips(rows, [&](i64 first, i64 count) {
      const Range range = needed(first, count);
      const bool lower = range.begin < (v + 1) * L && range.end > v * L;
      const bool upper = v + 1 < vectors && range.begin < (v + 2) * L && range.end > (v + 1) * L;
      if (!lower && !upper) return;
      const auto* product = lower && upper ? table.two : table.one;
      const i64 w = lower ? v : v + 1;
      product[count](c + first * kLd + w * L, 0, a + first * L, a_panel, b + w * b_panel, b_panel, depth,
                     upcoming);
    });
  }
}

// c [columns of a, width] = or, with `add`, += a [depth, columns]^T b [depth, width]; `needed`: the depth
// that a strip of columns has.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_columns(T* c, i64 c_panel, bool add, const T* a, i64 columns, const T* b,
                                   i64 b_panel, i64 width, Upcoming& upcoming, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = add ? kProducts<T, kLd>.added_columns : kProducts<T, kLd>.columns;
  const i64 vectors = vectors_of(width, L);
  for_strips(columns, [&](i64 first, i64 count) {
    Range range = needed(first, count);
    if (range.begin >= range.end) {
      if (add) return;
      range = {0, 0};
    }
    for (i64 v = 0; v < vectors; v += 2) {
      const auto* product = v + 1 < vectors ? table.two : table.one;
      product[count](c + v * c_panel + first * L, c_panel, a + range.begin * kLd + first, 0,
                     b + v * b_panel + range.begin * L, b_panel, range.end - range.begin, upcoming);
    }
  });
}

// c [rows, width] = a [rows, depth] b [depth, width]; `needed`: the depth that a strip of rows has.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_rows(T* c, i64 c_panel, const T* a, i64 rows, const T* b, i64 b_panel, i64 width,
                                Upcoming& upcoming, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.rows;
  const i64 vectors = vectors_of(width, L);
  for_strips(rows, [&](i64 first, i64 count) {
    const Range range = needed(first, count);
    for (i64 v = 0; v < vectors; v += 2) {
      const auto* product = v + 1 < vectors ? table.two : table.one;
      product[count](c + v * c_panel + first * L, c_panel, a + first * kLd + range.begin, 0,
                     b + v * b_panel + range.begin * L, b_panel, range.end - range.begin, upcoming);
    }
  });
}

}  // namespace
}  // namespace longsight::ops::host
