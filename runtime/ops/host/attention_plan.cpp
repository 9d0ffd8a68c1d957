#include "runtime/ops/host/attention_plan.h"

namespace longsight::ops::host {

i64 tile_limit(std::span<const AttentionSpan> spans, i64 AttentionSpan::*rows, i64 heads, i64 most) {
  constexpr i64 kEnough = 16;
  i64 tiles = 0;
  for (const AttentionSpan& span : spans) tiles += ceil_div(span.*rows, most);
  return tiles * heads < kEnough ? most / 2 : most;
}

}  // namespace longsight::ops::host
