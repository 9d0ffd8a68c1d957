// One tile of queries against all keys that they see, key tile by key tile, with an online softmax.
#pragma once

#include "runtime/ops/attention_copies.inl"
#include "runtime/ops/attention_products.inl"

namespace longsight::ops {
namespace {

// Scores lie transposed, [keys][queries]: each lane is a query, so the softmax needs no sum across lanes.
template <class T>
struct ForwardScratch {
  T *q, *k, *v, *scores, *sum_v, *top, *sum, *shrink;
  static constexpr i64 kKeyPanel = kForwardKeys * kLanes<T>;
  static constexpr i64 kQueryPanel = kForwardQueries * kLanes<T>;
  static i64 padded(i64 width) { return vectors_of(width, kLanes<T>) * kLanes<T>; }
  static i64 size(i64 width) {
    return padded(width) * (2 * kForwardQueries + 2 * kForwardKeys) + kForwardQueries * (kForwardKeys + 3);
  }
  ForwardScratch(T* base, i64 width) {
    const auto take = [&](i64 count) { return std::exchange(base, base + count); };
    q = take(padded(width) * kForwardQueries);
    k = take(padded(width) * kForwardKeys);
    v = take(padded(width) * kForwardKeys);
    sum_v = take(padded(width) * kForwardQueries);
    scores = take(kForwardKeys * kForwardQueries);
    top = take(kForwardQueries);
    sum = take(kForwardQueries);
    shrink = take(kForwardQueries);
  }
};

// Below every score, and finite: a query that has seen nothing yet keeps exp2(-inf - kNothing) = 0.
template <class T>
constexpr T kNothing = T(-1e30);

// N vectors of queries: scores become exp2(score - top); top, sum and shrink = exp2(old top - new top)
// follow. True where a top has moved.
template <class T, int N, bool kMasked>
LONGSIGHT_INLINE bool softmax_block(const ForwardScratch<T>& at, i64 first, i64 keys, i64 offset) {
  constexpr i64 L = kLanes<T>, ld = kForwardQueries;
  T* const s = at.scores + first;
  const i64 visible = kMasked ? clamped(first + N * L + offset, 0, keys) : keys;  // to some lane
  Vec<T> last[N], before[N], top[N], sum[N];  // last: key that a lane sees
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) {
    last[v] = lane_numbers<T>() + static_cast<T>(first + v * L + offset);
    top[v] = before[v] = load(at.top + first + v * L);
    sum[v] = Vec<T>{};
  }
  const auto score = [&](i64 j, int v) {
    const Vec<T> x = load(s + j * ld + v * L);
    if constexpr (kMasked) return static_cast<T>(j) <= last[v] ? x : splat(-static_cast<T>(__builtin_inf()));
    return x;
  };
  for (i64 j = 0; j < visible; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      const Vec<T> x = score(j, v);
      top[v] = x > top[v] ? x : top[v];
    }
  }
  for (i64 j = 0; j < visible; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      const Vec<T> e = exp2_of<T>(score(j, v) - top[v]);
      store<T>(s + j * ld + v * L, e);
      sum[v] += e;
    }
  }
  typename Simd<T>::Integer moved{};
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) {
    for (i64 j = visible; j < keys; ++j) store<T>(s + j * ld + v * L, Vec<T>{});
    const Vec<T> shrink = exp2_of<T>(before[v] - top[v]);
    store<T>(at.top + first + v * L, top[v]);
    store<T>(at.sum + first + v * L, load(at.sum + first + v * L) * shrink + sum[v]);
    store<T>(at.shrink + first + v * L, shrink);
    moved |= before[v] != top[v];
  }
  bool any = false;
  for (i64 i = 0; i < L; ++i) any |= moved[i] != 0;
  return any;
}

constexpr int kSoftmaxVectors = 2;  // at a time: two cache lines of each row of scores

template <class T, bool kMasked>
LONGSIGHT_INLINE bool online_softmax(const ForwardScratch<T>& at, i64 queries, i64 keys, i64 offset) {
  constexpr i64 L = kLanes<T>;
  bool moved = false;
  i64 first = 0;
  for (; first + kSoftmaxVectors * L <= queries; first += kSoftmaxVectors * L)
    moved |= softmax_block<T, kSoftmaxVectors, kMasked>(at, first, keys, offset);
  for (; first < queries; first += L) moved |= softmax_block<T, 1, kMasked>(at, first, keys, offset);
  return moved;
}

template <class T>
void forward(const ForwardTile<T>& tile, T* scratch) {
  constexpr i64 L = kLanes<T>, ld = kForwardQueries;
  using Scratch = ForwardScratch<T>;
  const Scratch at(scratch, tile.width);
  const i64 queries = tile.queries, panels = vectors_of(tile.width, L);
  copy_transposed<T>(at.q, tile.q, tile.q_stride, queries, tile.width, static_cast<T>(tile.scale * kLog2e));
  for (i64 i = 0; i < vectors_of(queries, L) * L; ++i) {
    at.top[i] = kNothing<T>;
    at.sum[i] = 0;
  }
  clear_rows<T>(at.sum_v, Scratch::kQueryPanel, queries, tile.width);

  const i64 steps = vectors_of(tile.keys, kForwardKeys);
  const i64 step = steps > 0 ? vectors_of(vectors_of(tile.keys, steps), kStrip) * kStrip : 0;
  for (i64 begin = 0; begin < tile.keys; begin += step) {
    const i64 keys = clamped(tile.keys - begin, 0, step), offset = tile.offset - begin;
    copy_rows<T>(at.k, Scratch::kKeyPanel, tile.k + begin * tile.k_stride, tile.k_stride, keys, tile.width,
                 1);
    copy_rows<T>(at.v, Scratch::kKeyPanel, tile.v + begin * tile.v_stride, tile.v_stride, keys, tile.width,
                 1);
    const i64 after = clamped(tile.keys - begin - keys, 0, step);
    const Upcoming<T> next_k{tile.k + (begin + keys) * tile.k_stride, tile.k_stride, after, tile.width};
    const Upcoming<T> next_v =
        after > 0 ? Upcoming<T>{tile.v + (begin + keys) * tile.v_stride, tile.v_stride, after, tile.width}
                  : Upcoming<T>{tile.o, tile.o_stride, queries, tile.width};
    const bool masked = keys - 1 > offset;  // the first query does not see the last key
    tile_scores<T, ld>(at.scores, at.k, Scratch::kKeyPanel, keys, at.q, queries, tile.width, next_k,
                       [&](i64 first, i64) {
                         return Range{first - offset, queries};
                       });
    const bool moved = masked ? online_softmax<T, true>(at, queries, keys, offset)
                              : online_softmax<T, false>(at, queries, keys, offset);
    if (moved && begin > 0) {
      for (i64 i = 0; i < queries; ++i) {
        if (at.shrink[i] == 1) continue;
        for (i64 c = 0; c < panels; ++c) {
          T* x = at.sum_v + c * Scratch::kQueryPanel + i * L;
          store<T>(x, at.shrink[i] * load(x));
        }
      }
    }
    tile_columns<T, ld>(at.sum_v, Scratch::kQueryPanel, at.scores, queries, at.v, Scratch::kKeyPanel,
                        tile.width, next_v, [&](i64 first, i64 count) {
                          return Range{0, clamped(first + count + offset, 0, keys)};
                        });
  }

  write_rows<false>(tile.o, tile.o_stride, at.sum_v, Scratch::kQueryPanel, queries, tile.width,
                    [&](i64 i) { return at.sum[i] == 0 ? T(0) : 1 / at.sum[i]; });
  for (i64 i = 0; i < queries; ++i) {
    const double sum = static_cast<double>(at.sum[i]);
    tile.lse[i * tile.lse_stride] = static_cast<T>(
        sum == 0 ? -__builtin_inf() : static_cast<double>(at.top[i]) * kLn2 + __builtin_log(sum));
  }
}

}  // namespace
}  // namespace longsight::ops
