// One tile of keys against one tile of queries: scores and probabilities once more, then dv, dk and dq.
#pragma once

#include "runtime/ops/host/attention_copies.inl"
#include "runtime/ops/host/attention_products.inl"

namespace longsight::ops::host {
namespace {

// Scores lie [queries][keys]: k and v are brought into the transposed layout once for all queries of the key
// tile.
template <class T>
struct BackwardScratch {
  T *k_transposed, *v_transposed, *k, *dk, *dv, *q, *d_o, *dq, *scores, *d_scores, *lse, *delta;
  static constexpr i64 kKeyPanel = kBackwardKeys * kLanes<T>;
  static constexpr i64 kQueryPanel = kBackwardQueries * kLanes<T>;
  static i64 padded(i64 width) { return vectors_of(width, kLanes<T>) * kLanes<T>; }
  static i64 size(i64 width) {
    return padded(width) * (5 * kBackwardKeys + 3 * kBackwardQueries) +
           kBackwardQueries * (2 * kBackwardKeys + 2);
  }
  BackwardScratch(T* base, i64 width) {
    const auto take = [&](i64 count) { return std::exchange(base, base + count); };
    for (T** x : {&k_transposed, &v_transposed, &k, &dk, &dv}) *x = take(padded(width) * kBackwardKeys);
    for (T** x : {&q, &d_o, &dq}) *x = take(padded(width) * kBackwardQueries);
    for (T** x : {&scores, &d_scores}) *x = take(kBackwardQueries * kBackwardKeys);
    for (T** x : {&lse, &delta}) *x = take(kBackwardQueries);
  }
};

template <class In, class T = Statistics<In>>
void begin_keys(const KeyTile<In>& tile, T* scratch) {
  using Scratch = BackwardScratch<T>;
  const Scratch at(scratch, tile.width);
  copy_transposed<T>(at.k_transposed, tile.k, tile.k_stride, tile.keys, tile.width,
                     static_cast<T>(tile.scale * kLog2e));
  copy_transposed<T>(at.v_transposed, tile.v, tile.v_stride, tile.keys, tile.width, 1);
  copy_rows<T>(at.k, Scratch::kKeyPanel, tile.k, tile.k_stride, tile.keys, tile.width,
               static_cast<T>(tile.scale));
}

// scores become probabilities p, d_scores become p * (d_p - delta).
template <class T, Hidden kHidden>
LONGSIGHT_INLINE void softmax_gradient(const BackwardScratch<T>& at, i64 queries, i64 keys,
                                       const TileMask& mask) {
  constexpr i64 L = kLanes<T>, ld = kBackwardKeys;
  const Vec<T> lanes = lane_numbers<T>();
  for (i64 i = 0; i < queries; ++i) {
    T *s = at.scores + i * ld, *ds = at.d_scores + i * ld;
    const T lse = at.lse[i], delta = at.delta[i];
    const Range visible = kHidden == Hidden::nothing ? Range{0, keys} : keys_seen(mask, i, 1, keys);
    const i64 end = i + mask.offset + 1, begin = end - mask.window;  // visible besides the prefix
    i64 j = 0;
    const auto hide_until = [&](i64 key) {
      for (; j < key; j += L) {
        store<T>(s + j, Vec<T>{});
        store<T>(ds + j, Vec<T>{});
      }
    };
    hide_until(visible.begin - visible.begin % L);
    for (; j < visible.end; j += L) {
      Vec<T> p = exp2_of<T>(load(s + j) - lse);
      Vec<T> d = p * (load(ds + j) - delta);
      if constexpr (kHidden != Hidden::nothing) {
        auto seen = lanes < static_cast<T>(end - j);
        if constexpr (kHidden == Hidden::both) {
          seen &= lanes >= static_cast<T>(begin - j);
          seen |= lanes < static_cast<T>(mask.prefix - j);
        }
        p = seen ? p : Vec<T>{};
        d = seen ? d : Vec<T>{};
      }
      store<T>(s + j, p);
      store<T>(ds + j, d);
    }
    hide_until(keys);
  }
}

template <class In, class T = Statistics<In>>
void visit_queries(const KeyTile<In>& own, const QueryTile<In>& tile, const KeyTile<In>* next_keys,
                   const QueryTile<In>* next_queries, T* scratch) {
  constexpr i64 ld = kBackwardKeys;
  using Scratch = BackwardScratch<T>;
  constexpr i64 key_panel = Scratch::kKeyPanel, query_panel = Scratch::kQueryPanel;
  const i64 queries = tile.queries, keys = own.keys, width = own.width;
  const TileMask mask = tile.mask;
  const Scratch at(scratch, width);
  copy_rows<T>(at.q, query_panel, tile.q, tile.q_stride, queries, width, 1);
  copy_rows<T>(at.d_o, query_panel, tile.d_o, tile.d_o_stride, queries, width, 1);
  for (i64 i = 0; i < queries; ++i) {
    at.lse[i] = tile.lse[i * tile.lse_stride] * static_cast<T>(kLog2e);
    at.delta[i] = tile.delta[i * tile.delta_stride];
  }
  Upcoming upcoming(width);
  upcoming.add(tile.dq_sum, tile.dq_sum_stride, queries);
  if (tile.last) {
    upcoming.add(own.dk, own.dk_stride, keys);
    upcoming.add(own.dv, own.dv_stride, keys);
  }
  if (next_keys != nullptr) {
    upcoming.add(next_keys->k, next_keys->k_stride, next_keys->keys);
    upcoming.add(next_keys->v, next_keys->v_stride, next_keys->keys);
  }
  if (next_queries != nullptr) {
    upcoming.add(next_queries->q, next_queries->q_stride, next_queries->queries);
    upcoming.add(next_queries->d_o, next_queries->d_o_stride, next_queries->queries);
  }
  upcoming.spread(2 * product_steps<T>(queries, keys - few_of<T>(keys), width) +
                  2 * product_steps<T>(keys, width, queries) + product_steps<T>(queries, width, keys));

  const auto keys_of = [&](i64 first, i64 count) { return keys_seen(mask, first, count, keys); };
  const auto queries_of = [&](i64 first, i64 count) { return queries_seeing(mask, first, count, queries); };
  tile_scores<T, ld>(at.scores, at.q, query_panel, queries, at.k_transposed, keys, width, upcoming, keys_of);
  tile_scores<T, ld>(at.d_scores, at.d_o, query_panel, queries, at.v_transposed, keys, width, upcoming,
                     keys_of);
  switch (hidden_part(mask, queries, keys)) {
    case Hidden::nothing:
      softmax_gradient<T, Hidden::nothing>(at, queries, keys, mask);
      break;
    case Hidden::above:
      softmax_gradient<T, Hidden::above>(at, queries, keys, mask);
      break;
    case Hidden::both:
      softmax_gradient<T, Hidden::both>(at, queries, keys, mask);
      break;
  }
  tile_columns<T, ld>(at.dv, key_panel, !tile.first, at.scores, keys, at.d_o, query_panel, width, upcoming,
                      queries_of);
  tile_columns<T, ld>(at.dk, key_panel, !tile.first, at.d_scores, keys, at.q, query_panel, width, upcoming,
                      queries_of);
  tile_rows<T, ld>(at.dq, query_panel, at.d_scores, queries, at.k, key_panel, width, upcoming, keys_of);
}

template <class In, class T = Statistics<In>>
void write_dq(const KeyTile<In>& own, const QueryTile<In>& tile, bool add, bool last, const T* scratch) {
  using Scratch = BackwardScratch<T>;
  const Scratch at(const_cast<T*>(scratch), own.width);
  const auto write = [&](auto* to, i64 stride) {
    if (add) {
      write_sum(to, stride, tile.dq_sum, tile.dq_sum_stride, at.dq, Scratch::kQueryPanel, tile.queries,
                own.width);
    } else {
      write_rows(to, stride, at.dq, Scratch::kQueryPanel, tile.queries, own.width, [](i64) { return T(1); });
    }
  };
  if (last) {
    write(tile.dq, tile.dq_stride);
  } else {
    write(tile.dq_sum, tile.dq_sum_stride);
  }
}

template <class In, class T = Statistics<In>>
void finish_keys(const KeyTile<In>& own, const T* scratch) {
  using Scratch = BackwardScratch<T>;
  const Scratch at(const_cast<T*>(scratch), own.width);
  write_rows(own.dk, own.dk_stride, at.dk, Scratch::kKeyPanel, own.keys, own.width,
             [scale = static_cast<T>(own.scale)](i64) { return scale; });
  write_rows(own.dv, own.dv_stride, at.dv, Scratch::kKeyPanel, own.keys, own.width, [](i64) { return T(1); });
}

}  // namespace
}  // namespace longsight::ops::host
