// Between rows of a tensor and the layouts of a tile: panels and transposed (attention_tile.inl).
#pragma once

#include "runtime/ops/host/attention_simd.inl"

namespace longsight::ops::host {
namespace {

// to (panels, `panel` elements apart) = factor * rows of `width`; columns beyond the width become zero.
template <class T, class In>
void copy_rows(T* to, i64 panel, const In* from, i64 stride, i64 rows, i64 width, T factor) {
  constexpr i64 L = kLanes<T>;
  const i64 whole = width / L, rest = width % L;
  for (i64 r = 0; r < rows; ++r, from += stride, to += L) {
    for (i64 c = 0; c < whole; ++c) store<T>(to + c * panel, factor * load(from + c * L));
    if (rest > 0) store<T>(to + whole * panel, factor * load_tail(from + whole * L, rest, whole > 0));
  }
}

// rows = factor(row) * panels.
template <class Out, class T, class Factor>
LONGSIGHT_INLINE void write_rows(Out* to, i64 stride, const T* from, i64 panel, i64 rows, i64 width,
                                 Factor factor) {
  constexpr i64 L = kLanes<T>;
  const i64 whole = width / L, rest = width % L;
  for (i64 r = 0; r < rows; ++r, to += stride, from += L) {
    const T f = factor(r);
    for (i64 c = 0; c < whole; ++c) store(to + c * L, f * load(from + c * panel));
    if (rest > 0) store_tail(to + whole * L, f * load(from + whole * panel), rest);
  }
}

// rows = sum + panels; the rows may be the sum.
template <class Out, class T>
LONGSIGHT_INLINE void write_sum(Out* to, i64 stride, const T* sum, i64 sum_stride, const T* from, i64 panel,
                                i64 rows, i64 width) {
  constexpr i64 L = kLanes<T>;
  const i64 whole = width / L, rest = width % L;
  for (i64 r = 0; r < rows; ++r, to += stride, sum += sum_stride, from += L) {
    for (i64 c = 0; c < whole; ++c) store(to + c * L, load(sum + c * L) + load(from + c * panel));
    if (rest > 0) {
      const Vec<T> x = load_tail(sum + whole * L, rest, whole > 0) + load(from + whole * panel);
      store_tail(to + whole * L, x, rest);
    }
  }
}

template <class T>
void clear_rows(T* x, i64 panel, i64 rows, i64 width) {
  constexpr i64 L = kLanes<T>;
  for (i64 c = 0; c < vectors_of(width, L); ++c) {
    for (i64 r = 0; r < rows; ++r) store<T>(x + c * panel + r * L, Vec<T>{});
  }
}

// In registers: after the step of size s, bit s of the lane and of the vector are exchanged.
template <class T, int step>
LONGSIGHT_INLINE void exchange(Vec<T> (&x)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
  using Integer = typename Simd<T>::Integer;
  Integer low{}, high{};
  for (int i = 0; i < L; ++i) {
    low[i] = i & step ? L + i - step : i;
    high[i] = i & step ? L + i : i + step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i & step) continue;
    const Vec<T> a = x[i], b = x[i + step];
    x[i] = __builtin_shuffle(a, b, low);
    x[i + step] = __builtin_shuffle(a, b, high);
  }
  if constexpr (step > 1) exchange<T, step / 2>(x);
}

// Lane i of the result is the sum over the lanes of x[i]; x is overwritten.
template <class T, int step = kLanes<T> / 2>
LONGSIGHT_INLINE Vec<T> sums_over_lanes(Vec<T> (&x)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
  using Integer = typename Simd<T>::Integer;
  Integer low{}, high{};
  for (int i = 0; i < L; ++i) {
    low[i] = i & step ? L + i - step : i;
    high[i] = i & step ? L + i : i + step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < step; ++i)
    x[i] = __builtin_shuffle(x[i], x[i + step], low) + __builtin_shuffle(x[i], x[i + step], high);
  if constexpr (step > 1) return sums_over_lanes<T, step / 2>(x);
  return x[0];
}

// Rows that are left over behind whole vectors of them are few where one by one costs less than a vector.
template <class T>
constexpr i64 kFew = kLanes<T> / 5;
template <class T>
constexpr i64 few_of(i64 rows) {
  return rows % kLanes<T> <= kFew<T> ? rows % kLanes<T> : 0;
}
// to (transposed) = factor * rows; lanes beyond the rows become zero.
template <class T, class In>
void copy_transposed(T* to, const In* from, i64 stride, i64 rows, i64 width, T factor) {
  constexpr i64 L = kLanes<T>;
  const i64 few = few_of<T>(rows);
  rows -= few;
  copy_rows<T>(to + vectors_of(rows, L) * width * L, kFew<T> * L, from + rows * stride, stride, few, width,
               factor);
  for (i64 first = 0; first < rows; first += L, from += L * stride, to += width * L) {
    const i64 count = rows - first;
    for (i64 d = 0; d < width; d += L) {
      const i64 depth = width - d;
      Vec<T> x[L];
      if (depth >= L) {
#pragma GCC unroll 16
        for (i64 r = 0; r < L; ++r) x[r] = r < count ? factor * load(from + r * stride + d) : Vec<T>{};
      } else {
        for (i64 r = 0; r < L; ++r)
          x[r] = r < count ? factor * load_tail(from + r * stride + d, depth, d > 0) : Vec<T>{};
      }
      exchange<T, kLanes<T> / 2>(x);
      if (depth >= L) {
#pragma GCC unroll 16
        for (i64 r = 0; r < L; ++r) store<T>(to + (d + r) * L, x[r]);
      } else {
        for (i64 r = 0; r < depth; ++r) store<T>(to + (d + r) * L, x[r]);
      }
    }
  }
}

}  // namespace
}  // namespace longsight::ops::host
