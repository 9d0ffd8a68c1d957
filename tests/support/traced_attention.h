// What a strategy exchanges, told by a trace of its forward and backward.
#pragma once

#include "parallel/attention/attention.h"
#include "parallel/groups/trace_group.h"
#include "runtime/device/trace.h"

namespace longsight::test {

// Entries as rank `rank` sees them; `rows` are those of that rank.
inline parallel::Schedule traced_exchanges(parallel::AttentionStrategy& attention,
                                           const parallel::AttentionShape& shape, i64 rank, i64 ranks,
                                           i64 rows, DType dtype = DType::F32) {
  Trace trace;
  trace.takes_tiles = false;
  Arena saved("saved", Backend::trace), scratch("scratch", Backend::trace);
  Frames frames;
  parallel::TraceGroup group(narrow<int>(rank), narrow<int>(ranks), "sequence");
  const parallel::Workspace w{saved, scratch, frames, group, trace.stream()};
  const Tensor qkv = saved.take(dtype, {rows, shape.columns()}, "qkv"),
               o = saved.take(dtype, {rows, shape.q_columns()}, "o"),
               lse = saved.take(dtype, attention.log_sums(), "lse");
  attention.forward(o, lse, qkv, w);
  attention.backward(qkv, o, o, w);
  return group.take_schedule();
}

}  // namespace longsight::test
