// Unit of work: the queries of one tile and one head, with all keys that they see. Units are independent.
#include <atomic>
#include <optional>

#include <omp.h>

#include "runtime/ops/host/attention_plan.h"

namespace longsight::ops::host {

template <class T>
ForwardScratch forward_scratch(const TileKernels<T>& kernels, const Heads& q, const AttentionProblem& problem,
                               Arena& scratch) {
  if (q.heads == 0) return {};
  const i64 per_thread = elements_per_thread(kernels.forward_scratch(q.width));
  return {.units = SpanItems::memory(problem.spans, scratch),
          .tiles = scratch.take(dtype_of<Statistics<T>>(), {omp_get_max_threads(), per_thread},
                                "attention.tiles")};
}

template <class T>
void run_forward(const TileKernels<T>& kernels, const Heads& o, const Matrix& lse, const Heads& q,
                 const Heads& k, const Heads& v, const AttentionProblem& problem,
                 const ForwardScratch& scratch) {
  const i64 heads = q.heads;
  if (heads == 0) return;
  const i64 limit = tile_limit(problem.spans, &AttentionSpan::q_rows, heads, kForwardQueries);
  const SpanItems units(problem.spans, scratch.units,
                        [&](const AttentionSpan& span) { return Tiling(span.q_rows, limit).count * heads; });
  const int threads = static_cast<int>(scratch.tiles.rows());
  const i64 per_thread = scratch.tiles.row_size();
  using S = Statistics<T>;
  S* const memory = scratch.tiles.host<S>();
  const HeadRows<T> o_rows(o), q_rows(q), k_rows(k), v_rows(v);
  S* const lse_data = lse.host<S>();

  const auto tile_of = [&](i64 unit) {
    const std::size_t s = units.span_of(unit);
    const AttentionSpan& span = problem.spans[s];
    const Tiling tiling(span.q_rows, limit);
    // The last tiles see most keys under the causal mask: they come first, so that the threads end together.
    const i64 tile = tiling.count - 1 - (unit - units.first(s)) / heads,
              head = (unit - units.first(s)) % heads;
    const i64 row = span.q_begin + tiling.begin(tile), kv = problem.heads.kv_of(head);
    const TileMask mask = mask_from(mask_of(span), tiling.begin(tile), 0);
    const VisibleKeys keys(mask, 0, tiling.rows(tile), span.k_rows);
    return ForwardTile<T>{.width = q.width,
                          .queries = tiling.rows(tile),
                          .prefix = keys.prefix,
                          .begin = keys.begin,
                          .end = keys.end,
                          .mask = mask,
                          .scale = problem.scale,
                          .q = q_rows.at(row, head),
                          .k = k_rows.at(span.k_begin, kv),
                          .v = v_rows.at(span.k_begin, kv),
                          .q_stride = q_rows.stride,
                          .k_stride = k_rows.stride,
                          .v_stride = v_rows.stride,
                          .o = o_rows.at(row, head),
                          .lse = lse_data + row * lse.stride + head,
                          .o_stride = o_rows.stride,
                          .lse_stride = lse.stride};
  };
  std::atomic<i64> next = 0;
#pragma omp parallel num_threads(threads)
  {
    S* const mine = memory + omp_get_thread_num() * per_thread;
    // A thread takes its next unit before it works on the one it has: the rows of short sequences come from
    // far away.
    std::optional<ForwardTile<T>> now, then;
    const auto take = [&] {
      const i64 unit = next++;
      return unit < units.size() ? std::optional(tile_of(unit)) : std::nullopt;
    };
    for (now = take(); now; now = then) {
      then = take();
      kernels.forward(*now, then ? &*then : nullptr, mine);
    }
  }
}

template ForwardScratch forward_scratch(const TileKernels<float>&, const Heads&, const AttentionProblem&,
                                        Arena&);
template ForwardScratch forward_scratch(const TileKernels<bf16>&, const Heads&, const AttentionProblem&,
                                        Arena&);
template ForwardScratch forward_scratch(const TileKernels<double>&, const Heads&, const AttentionProblem&,
                                        Arena&);
template void run_forward<float>(const TileKernels<float>&, const Heads&, const Matrix&, const Heads&,
                                 const Heads&, const Heads&, const AttentionProblem&, const ForwardScratch&);
template void run_forward<bf16>(const TileKernels<bf16>&, const Heads&, const Matrix&, const Heads&,
                                const Heads&, const Heads&, const AttentionProblem&, const ForwardScratch&);
template void run_forward<double>(const TileKernels<double>&, const Heads&, const Matrix&, const Heads&,
                                  const Heads&, const Heads&, const AttentionProblem&, const ForwardScratch&);

}  // namespace longsight::ops::host
