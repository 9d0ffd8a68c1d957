// Private to attention on CUDA: how a problem is cut into tiles, and what is visible in one.
#pragma once

#include <vector>

#include "runtime/ops/attention.h"
#include "runtime/ops/cuda/views.h"
#include "runtime/ops/host/attention_plan.h"

namespace longsight::ops::cuda {

// Key j of a span is visible to its query i iff i + offset - window < j <= i + offset, or j < prefix.
struct DeviceSpan {
  LANE_FN bool sees(i64 query, i64 key) const {
    return key < prefix || (key <= query + offset && key > query + offset - window);
  }
  // Whether some of these queries sees some of these keys.
  LANE_FN bool any_seen(i64 query, i64 queries, i64 key, i64 keys) const {
    return key < prefix || (key <= query + queries - 1 + offset && key + keys - 1 > query + offset - window);
  }

  i64 q_begin, q_rows, k_begin, k_rows;
  i64 offset, window, prefix;
  i64 first_q_tile, first_k_tile;  // numbers of its first tiles through all spans
};

struct TileCounts {
  std::vector<DeviceSpan> spans;
  i64 q_tiles = 0, k_tiles = 0;
};

// Spans cut into tiles of `tile` rows each.
inline TileCounts cut_into_tiles(std::span<const AttentionSpan> spans, i64 tile) {
  TileCounts all;
  for (const AttentionSpan& span : spans) {
    const host::TileMask mask = host::mask_of(span);
    all.spans.push_back({span.q_begin, span.q_rows, span.k_begin, span.k_rows, mask.offset, mask.window,
                         mask.prefix, all.q_tiles, all.k_tiles});
    all.q_tiles += ceil_div(span.q_rows, tile);
    all.k_tiles += ceil_div(span.k_rows, tile);
  }
  return all;
}

// The span that tile `number` belongs to: the last one whose first tile is not behind it.
LANE_FN const DeviceSpan& span_of_tile(const DeviceSpan* spans, i64 count, i64 number,
                                       i64 DeviceSpan::*first_tile) {
  i64 low = 0, high = count;
  while (high - low > 1) {
    const i64 middle = (low + high) / 2;
    (spans[middle].*first_tile <= number ? low : high) = middle;
  }
  return spans[low];
}

}  // namespace longsight::ops::cuda
