// One tile of queries against all keys that they see, key tile by key tile, with an online softmax.
#pragma once

#include "runtime/ops/host/attention_copies.inl"
#include "runtime/ops/host/attention_products.inl"

namespace longsight::ops::host {
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
template <class T, int N, Hidden kHidden>
LONGSIGHT_INLINE bool softmax_block(const ForwardScratch<T>& at, i64 first, i64 keys, const TileMask& mask) {
  constexpr i64 L = kLanes<T>, ld = kForwardQueries;
  T* const s = at.scores + first;
  const Range visible =  // to some lane
      kHidden == Hidden::nothing ? Range{0, keys} : keys_seen(mask, first, N * L, keys);
  Vec<T> last[N], hidden[N], before[N], top[N],
      sum[N];  // the last key that a lane sees, and that before its window
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) {
    last[v] = lane_numbers<T>() + static_cast<T>(first + v * L + mask.offset);
    hidden[v] = lane_numbers<T>() + static_cast<T>(first + v * L + mask.offset - mask.window);
    top[v] = before[v] = load(at.top + first + v * L);
    sum[v] = Vec<T>{};
  }
  const auto score = [&](i64 j, int v) {
    Vec<T> x = load(s + j * ld + v * L);
    const Vec<T> key = splat(static_cast<T>(j)), nothing = splat(-static_cast<T>(__builtin_inf()));
    if (kHidden == Hidden::nothing || (kHidden == Hidden::both && j < mask.prefix)) return x;
    if constexpr (kHidden == Hidden::both) x = key > hidden[v] ? x : nothing;
    return key <= last[v] ? x : nothing;
  };
  for (i64 j = visible.begin; j < visible.end; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      const Vec<T> x = score(j, v);
      top[v] = x > top[v] ? x : top[v];
    }
  }
  for (i64 j = visible.begin; j < visible.end; ++j) {
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
    for (i64 j = 0; j < visible.begin; ++j) store<T>(s + j * ld + v * L, Vec<T>{});
    for (i64 j = visible.end; j < keys; ++j) store<T>(s + j * ld + v * L, Vec<T>{});
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

template <class T, Hidden kHidden>
LONGSIGHT_INLINE bool online_softmax(const ForwardScratch<T>& at, i64 queries, i64 keys,
                                     const TileMask& mask) {
  constexpr i64 L = kLanes<T>;
  bool moved = false;
  i64 first = 0;
  for (; first + kSoftmaxVectors * L <= queries; first += kSoftmaxVectors * L)
    moved |= softmax_block<T, kSoftmaxVectors, kHidden>(at, first, keys, mask);
  for (; first < queries; first += L) moved |= softmax_block<T, 1, kHidden>(at, first, keys, mask);
  return moved;
}

// Keys of a tile in steps: as few as possible of at most kForwardKeys, of even size, first those of a prefix.
struct KeySteps {
  Range now;  // keys of this step
  i64 size, end, then_begin, then_end;

  template <class In>
  explicit KeySteps(const ForwardTile<In>& tile) : then_begin(tile.begin), then_end(tile.end) {
    if (tile.prefix > 0) {
      start(0, tile.prefix);
    } else {
      start(tile.begin, tile.end);
      then_begin = then_end;
    }
  }
  bool done() const { return now.begin == now.end; }
  void advance() {
    if (now.end < end) {
      now = {now.end, clamped(now.end + size, 0, end)};
    } else {
      start(then_begin, then_end);
      then_begin = then_end;
    }
  }

 private:
  void start(i64 first, i64 last) {
    const i64 steps = vectors_of(last - first, kForwardKeys);
    size = steps > 0 ? vectors_of(vectors_of(last - first, steps), kStrip) * kStrip : 0;
    end = last;
    now = {first, clamped(first + size, first, last)};
  }
};

template <class In, class T = Statistics<In>>
void forward(const ForwardTile<In>& tile, const ForwardTile<In>* next, T* scratch) {
  constexpr i64 L = kLanes<T>, ld = kForwardQueries;
  using Scratch = ForwardScratch<T>;
  const Scratch at(scratch, tile.width);
  const i64 queries = tile.queries, panels = vectors_of(tile.width, L);
  copy_transposed<T>(at.q, tile.q, tile.q_stride, queries, tile.width, static_cast<T>(tile.scale * kLog2e));
  for (i64 i = 0; i < vectors_of(queries, L) * L; ++i) {
    at.top[i] = kNothing<T>;
    at.sum[i] = 0;
  }
  if (KeySteps(tile).done()) clear_rows<T>(at.sum_v, Scratch::kQueryPanel, queries, tile.width);

  bool first_step = true;
  for (KeySteps steps(tile); !steps.done(); first_step = false) {
    const Range now = steps.now;
    const i64 keys = now.end - now.begin;
    const TileMask mask{tile.mask.offset - now.begin, tile.mask.window, tile.mask.prefix - now.begin};
    copy_rows<T>(at.k, Scratch::kKeyPanel, tile.k + now.begin * tile.k_stride, tile.k_stride, keys,
                 tile.width, 1);
    copy_rows<T>(at.v, Scratch::kKeyPanel, tile.v + now.begin * tile.v_stride, tile.v_stride, keys,
                 tile.width, 1);
    steps.advance();
    Upcoming upcoming(tile.width);
    const auto add_keys = [&](const ForwardTile<In>& of, const Range& range) {
      upcoming.add(of.k + range.begin * of.k_stride, of.k_stride, range.end - range.begin);
      upcoming.add(of.v + range.begin * of.v_stride, of.v_stride, range.end - range.begin);
    };
    add_keys(tile, steps.now);
    if (steps.done()) {
      upcoming.add(tile.o, tile.o_stride, queries);
      if (next != nullptr) {
        upcoming.add(next->q, next->q_stride, next->queries);
        add_keys(*next, KeySteps(*next).now);
      }
    }
    upcoming.spread(product_steps<T>(keys, queries - few_of<T>(queries), tile.width) +
                    product_steps<T>(queries, tile.width, keys));
    tile_scores<T, ld>(at.scores, at.k, Scratch::kKeyPanel, keys, at.q, queries, tile.width, upcoming,
                       [&](i64 first, i64 count) { return queries_seeing(mask, first, count, queries); });
    bool moved = false;
    switch (hidden_part(mask, queries, keys)) {
      case Hidden::nothing:
        moved = online_softmax<T, Hidden::nothing>(at, queries, keys, mask);
        break;
      case Hidden::above:
        moved = online_softmax<T, Hidden::above>(at, queries, keys, mask);
        break;
      case Hidden::both:
        moved = online_softmax<T, Hidden::both>(at, queries, keys, mask);
        break;
    }
    if (moved && !first_step) {
      for (i64 i = 0; i < queries; ++i) {
        if (at.shrink[i] == 1) continue;
        for (i64 c = 0; c < panels; ++c) {
          T* x = at.sum_v + c * Scratch::kQueryPanel + i * L;
          store<T>(x, at.shrink[i] * load(x));
        }
      }
    }
    tile_columns<T, ld>(at.sum_v, Scratch::kQueryPanel, !first_step, at.scores, queries, at.v,
                        Scratch::kKeyPanel, tile.width, upcoming,
                        [&](i64 first, i64 count) { return keys_seen(mask, first, count, keys); });
  }

  write_rows(tile.o, tile.o_stride, at.sum_v, Scratch::kQueryPanel, queries, tile.width,
             [&](i64 i) { return at.sum[i] == 0 ? T(0) : 1 / at.sum[i]; });
  for (i64 i = 0; i < queries; ++i) {
    const double sum = static_cast<double>(at.sum[i]);
    tile.lse[i * tile.lse_stride] = static_cast<T>(
        sum == 0 ? -__builtin_inf() : static_cast<double>(at.top[i]) * kLn2 + __builtin_log(sum));
  }
}

}  // namespace
}  // namespace longsight::ops::host
