// Which part of a tile is visible: bounds of what a product needs, and how much a softmax must hide.
#pragma once

#include "runtime/ops/host/attention_simd.inl"

namespace longsight::ops::host {
namespace {

// What a strip of rows needs of the other dimension: [begin, end).
struct Range {
  i64 begin, end;
};

// Of `keys`: from the first to the last that some of the queries [first, first + count) sees.
LONGSIGHT_INLINE Range keys_seen(const TileMask& mask, i64 first, i64 count, i64 keys) {
  const Range causal{clamped(first + mask.offset + 1 - mask.window, 0, keys),
                     clamped(first + count + mask.offset, 0, keys)};
  const i64 prefix = clamped(mask.prefix, 0, keys);
  if (causal.begin >= causal.end) return {0, prefix};
  return {prefix > 0 ? 0 : causal.begin, causal.end > prefix ? causal.end : prefix};
}

// Of `queries`: from the first to the last that sees some of the keys [first, first + count).
LONGSIGHT_INLINE Range queries_seeing(const TileMask& mask, i64 first, i64 count, i64 queries) {
  if (first < mask.prefix) return {0, queries};
  return {clamped(first - mask.offset, 0, queries),
          clamped(first + count - 1 - mask.offset + mask.window, 0, queries)};
}

// How much of the tile is hidden: nothing; keys above the diagonal alone; also keys before the window, but
// for a prefix.
enum class Hidden { nothing, above, both };

LONGSIGHT_INLINE Hidden hidden_part(const TileMask& mask, i64 queries, i64 keys) {
  const bool above = keys - 1 > mask.offset;               // the first query does not see the last key
  const i64 before = queries + mask.offset - mask.window;  // keys that the last query does not see
  if (mask.prefix >= keys || (!above && before <= clamped(mask.prefix, 0, keys))) return Hidden::nothing;
  return before <= 0 && mask.prefix <= 0 ? Hidden::above : Hidden::both;
}

}  // namespace
}  // namespace longsight::ops::host
