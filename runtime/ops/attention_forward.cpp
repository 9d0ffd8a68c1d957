// Unit of work: the queries of one tile and one head, with all keys that they see. Units are independent.
#include <omp.h>

#include "runtime/ops/attention_plan.h"

namespace longsight::ops {

template <class T>
void run_forward(const TileKernels<T>& kernels, const Heads& o, const Matrix& lse, const Heads& q,
                 const Heads& k, const Heads& v, const AttentionProblem& problem, Arena& scratch) {
  const i64 heads = q.heads;
  if (heads == 0) return;
  const ArenaScope scope(scratch);
  const i64 limit = tile_limit(problem.spans, &AttentionSpan::q_rows, heads, kForwardQueries);
  const SpanItems units(problem.spans, scratch,
                        [&](const AttentionSpan& span) { return Tiling(span.q_rows, limit).count * heads; });
  const int threads = omp_get_max_threads();
  const i64 per_thread = ceil_div(kernels.forward_scratch(q.width), 16) * 16;
  T* const memory = scratch.take(dtype_of<T>(), {threads, per_thread}, "attention.tiles").template as<T>();
  const HeadRows<T> o_rows(o), q_rows(q), k_rows(k), v_rows(v);
  T* const lse_data = lse.as<T>();

#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (i64 unit = 0; unit < units.size(); ++unit) {
    const std::size_t s = units.span_of(unit);
    const AttentionSpan& span = problem.spans[s];
    const Tiling tiling(span.q_rows, limit);
    // The last tiles see most keys under the causal mask: they come first, so that the threads end together.
    const i64 tile = tiling.count - 1 - (unit - units.first(s)) / heads,
              head = (unit - units.first(s)) % heads;
    const i64 row = span.q_begin + tiling.begin(tile), kv = problem.heads.kv_of(head);
    const i64 offset = tiling.begin(tile) + diagonal_of(span);
    const i64 keys = std::clamp<i64>(tiling.rows(tile) + offset, 0, span.k_rows);
    kernels.forward({.width = q.width,
                     .queries = tiling.rows(tile),
                     .keys = keys,
                     .offset = offset,
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
                     .lse_stride = lse.stride},
                    memory + omp_get_thread_num() * per_thread);
  }
}

template void run_forward<float>(const TileKernels<float>&, const Heads&, const Matrix&, const Heads&,
                                 const Heads&, const Heads&, const AttentionProblem&, Arena&);
template void run_forward<double>(const TileKernels<double>&, const Heads&, const Matrix&, const Heads&,
                                  const Heads&, const Heads&, const AttentionProblem&, Arena&);

}  // namespace longsight::ops
