// The products of a tile: kStrip rows x 2 vectors at a time stay in registers.
#pragma once

#include "runtime/ops/attention_simd.inl"

namespace longsight::ops {
namespace {

// sum[r][v] += a[r * kStep + k * kAdvance] * b[v * b_panel + k * L] over k.
template <class T, int M, int N, i64 kStep, i64 kAdvance>
LONGSIGHT_INLINE void accumulate(Vec<T> (&sum)[M][N], const T* a, const T* b, i64 b_panel, i64 depth) {
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
void product_scores(T* c, i64, const T* a, i64 a_panel, const T* b, i64 b_panel, i64 depth) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  for (; depth >= L; depth -= L, a += a_panel, b += L * L) accumulate<T, M, N, L, 1>(sum, a, b, b_panel, L);
  if (depth > 0) accumulate<T, M, N, L, 1>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + r * kLd + v * L, sum[r][v]);
}

// c (panels) += a (scores)^T * b (panels).
template <class T, int M, int N, i64 kLd>
void product_columns(T* c, i64 c_panel, const T* a, i64, const T* b, i64 b_panel, i64 depth) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  accumulate<T, M, N, 1, kLd>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + v * c_panel + r * L, load(c + v * c_panel + r * L) + sum[r][v]);
}

// c (panels) = a (scores) * b (panels).
template <class T, int M, int N, i64 kLd>
void product_rows(T* c, i64 c_panel, const T* a, i64, const T* b, i64 b_panel, i64 depth) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  accumulate<T, M, N, kLd, 1>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + v * c_panel + r * L, sum[r][v]);
}

template <class T>
using Product = void (*)(T* c, i64 c_panel, const T* a, i64 a_panel, const T* b, i64 b_panel, i64 depth);
template <class T>
struct ProductTable {
  Product<T> one[kStrip + 1] = {};  // by rows, N = 1
  Product<T> two[kStrip + 1] = {};
};

template <class T, i64 kLd, int M = kStrip>
constexpr void fill_tables(ProductTable<T>& scores, ProductTable<T>& columns, ProductTable<T>& rows) {
  scores.one[M] = product_scores<T, M, 1, kLd>;
  scores.two[M] = product_scores<T, M, 2, kLd>;
  columns.one[M] = product_columns<T, M, 1, kLd>;
  columns.two[M] = product_columns<T, M, 2, kLd>;
  rows.one[M] = product_rows<T, M, 1, kLd>;
  rows.two[M] = product_rows<T, M, 2, kLd>;
  if constexpr (M > 1) fill_tables<T, kLd, M - 1>(scores, columns, rows);
}
template <class T, i64 kLd>
struct Products {
  ProductTable<T> scores, columns, rows;
  constexpr Products() { fill_tables<T, kLd>(scores, columns, rows); }
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

// Brings rows that are copied next into the second-level cache, a few at each call of a micro-kernel: rows
// lie a whole model row apart, which no hardware prefetcher follows.
template <class T>
struct Upcoming {
  const T* rows;
  i64 stride, count, width;

  LONGSIGHT_INLINE void step(i64 steps) {
    for (i64 now = vectors_of(count, steps); now > 0; --now, --count, rows += stride) {
      for (i64 c = 0; c < width; c += 64 / static_cast<i64>(sizeof(T))) __builtin_prefetch(rows + c, 0, 2);
    }
  }
};

// What a strip of rows needs of the other dimension: [begin, end).
struct Range {
  i64 begin, end;
};

// c [rows, columns] = a [rows, depth] b^T; `needed` gives the columns wanted of a strip, others are left
// undefined.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_scores(T* c, const T* a, i64 a_panel, i64 rows, const T* b, i64 columns, i64 depth,
                                  Upcoming<T> next, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.scores;
  const i64 vectors = vectors_of(columns, L), b_panel = depth * L;
  i64 steps = vectors_of(vectors, 2) * vectors_of(rows, kStrip);
  for (i64 v = 0; v < vectors; v += 2) {
    for_strips(rows, [&](i64 first, i64 count) {
      next.step(steps--);
      const Range range = needed(first, count);
      const bool lower = range.begin < (v + 1) * L && range.end > v * L;
      const bool upper = v + 1 < vectors && range.begin < (v + 2) * L && range.end > (v + 1) * L;
      if (!lower && !upper) return;
      const auto* product = lower && upper ? table.two : table.one;
      const i64 w = lower ? v : v + 1;
      product[count](c + first * kLd + w * L, 0, a + first * L, a_panel, b + w * b_panel, b_panel, depth);
    });
  }
}

// c [columns of a, width] += a [depth, columns]^T b [depth, width]; `needed`: the depth that a strip of
// columns has.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_columns(T* c, i64 c_panel, const T* a, i64 columns, const T* b, i64 b_panel,
                                   i64 width, Upcoming<T> next, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.columns;
  const i64 vectors = vectors_of(width, L);
  i64 steps = vectors_of(vectors, 2) * vectors_of(columns, kStrip);
  for_strips(columns, [&](i64 first, i64 count) {
    const Range range = needed(first, count);
    if (range.begin >= range.end) return;
    for (i64 v = 0; v < vectors; v += 2) {
      next.step(steps--);
      const auto* product = v + 1 < vectors ? table.two : table.one;
      product[count](c + v * c_panel + first * L, c_panel, a + range.begin * kLd + first, 0,
                     b + v * b_panel + range.begin * L, b_panel, range.end - range.begin);
    }
  });
}

// c [rows, width] = a [rows, depth] b [depth, width]; `needed`: the depth that a strip of rows has, from 0.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_rows(T* c, i64 c_panel, const T* a, i64 rows, const T* b, i64 b_panel, i64 width,
                                Upcoming<T> next, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.rows;
  const i64 vectors = vectors_of(width, L);
  i64 steps = vectors_of(vectors, 2) * vectors_of(rows, kStrip);
  for_strips(rows, [&](i64 first, i64 count) {
    const i64 depth = needed(first, count).end;
    for (i64 v = 0; v < vectors; v += 2) {
      next.step(steps--);
      const auto* product = v + 1 < vectors ? table.two : table.one;
      product[count](c + v * c_panel + first * L, c_panel, a + first * kLd, 0, b + v * b_panel, b_panel,
                     depth);
    }
  });
}

}  // namespace
}  // namespace longsight::ops
