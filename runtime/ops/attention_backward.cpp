// Unit of work: the keys of one tile and one KV head, with all queries that see them. dk and dv belong to the
// unit; dq of a query tile gets one addend from each of its key tiles, always in the order of the keys: a
// unit waits for its turn. Units are handed out in order and wait only for units before them, so one that
// need not wait always runs.
#include <atomic>
#include <thread>

#include <immintrin.h>
#include <omp.h>

#include "runtime/ops/attention_plan.h"

namespace longsight::ops {

namespace {

void wait_for(i64& counter, i64 value) {
  const std::atomic_ref<i64> atomic(counter);
  for (int spins = 0; atomic.load(std::memory_order_acquire) != value; ++spins) {
    // Yield after a while: with more ranks or threads than cores, the other side may need this core.
    if (spins < 1000) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace

template <class T>
void run_backward(const TileKernels<T>& kernels, const Heads& dq, const Heads& dk, const Heads& dv,
                  const Heads& d_o, const Matrix& delta, const Matrix& lse, const Heads& q, const Heads& k,
                  const Heads& v, const AttentionProblem& problem, Arena& scratch) {
  const i64 heads = q.heads, kv_heads = k.heads, width = q.width;
  if (kv_heads == 0) return;
  const ArenaScope scope(scratch);
  const i64 key_limit = tile_limit(problem.spans, &AttentionSpan::k_rows, kv_heads, kBackwardKeys);
  // A span has at least one unit of each KV head: its first also clears dq of queries that see nothing.
  // Heads of one key tile follow each other, so that neighbouring units seldom wait for each other.
  const SpanItems units(problem.spans, scratch, [&](const AttentionSpan& span) {
    return std::max<i64>(1, Tiling(span.k_rows, key_limit).count) * kv_heads;
  });
  const SpanItems query_tiles(problem.spans, scratch, [&](const AttentionSpan& span) {
    return Tiling(span.q_rows, kBackwardQueries).count;
  });
  i64* const turns = scratch.take(DType::I64, {heads, query_tiles.size()}, "attention.turns").as<i64>();
  std::fill(turns, turns + heads * query_tiles.size(), 0);
  const int threads = omp_get_max_threads();
  const i64 per_thread = ceil_div(kernels.backward_scratch(width), 16) * 16;
  T* const memory = scratch.take(dtype_of<T>(), {threads, per_thread}, "attention.tiles").template as<T>();
  const HeadRows<T> q_rows(q), k_rows(k), v_rows(v), do_rows(d_o), dq_rows(dq), dk_rows(dk), dv_rows(dv);
  const T *const lse_data = lse.as<T>(), *const delta_data = delta.as<T>();
  std::atomic<i64> next = 0;

  const auto run_unit = [&](i64 unit, T* mine) {
    const std::size_t s = units.span_of(unit);
    const AttentionSpan& span = problem.spans[s];
    const Tiling key_tiling(span.k_rows, key_limit), query_tiling(span.q_rows, kBackwardQueries);
    const i64 key_tile = (unit - units.first(s)) / kv_heads, kv = (unit - units.first(s)) % kv_heads;
    const i64 first_key = key_tiling.begin(key_tile), key_row = span.k_begin + first_key;
    const KeyTile<T> keys{.width = width,
                          .keys = std::max<i64>(0, key_tiling.rows(key_tile)),
                          .scale = problem.scale,
                          .k = k_rows.at(key_row, kv),
                          .v = v_rows.at(key_row, kv),
                          .k_stride = k_rows.stride,
                          .v_stride = v_rows.stride,
                          .dk = dk_rows.at(key_row, kv),
                          .dv = dv_rows.at(key_row, kv),
                          .dk_stride = dk_rows.stride,
                          .dv_stride = dv_rows.stride};
    kernels.begin_keys(keys, mine);
    // The heads h with kv_of(h) == kv.
    const i64 first_head = (problem.heads.first_kv + kv) * problem.heads.group - problem.heads.first_q;
    const i64 end_head = std::min(heads, first_head + problem.heads.group);
    for (i64 head = std::max<i64>(0, first_head); head < end_head; ++head) {
      for (i64 tile = 0; tile < query_tiling.count; ++tile) {
        const i64 row = span.q_begin + query_tiling.begin(tile);
        const i64 offset = query_tiling.begin(tile) + diagonal_of(span) - first_key;
        const QueryTile<T> queries{
            .queries = query_tiling.rows(tile),
            .offset = offset,
            .queries_after = tile + 1 < query_tiling.count ? query_tiling.rows(tile + 1) : 0,
            .q = q_rows.at(row, head),
            .d_o = do_rows.at(row, head),
            .lse = lse_data + row * lse.stride + head,
            .delta = delta_data + row * delta.stride + head,
            .q_stride = q_rows.stride,
            .d_o_stride = do_rows.stride,
            .lse_stride = lse.stride,
            .delta_stride = delta.stride,
            .dq = dq_rows.at(row, head),
            .dq_stride = dq_rows.stride};
        const bool seen = keys.keys > 0 && queries.queries - 1 + offset >= 0;
        if (seen) {
          i64& turn = turns[head * query_tiles.size() + query_tiles.first(s) + tile];
          kernels.visit_queries(keys, queries, mine);
          wait_for(turn, key_tile);
          kernels.write_dq(keys, queries, key_tile > 0, mine);
          std::atomic_ref<i64>(turn).store(key_tile + 1, std::memory_order_release);
        } else if (key_tile == 0) {
          for (i64 i = 0; i < queries.queries; ++i)
            std::fill_n(queries.dq + i * queries.dq_stride, width, T(0));
        }
      }
    }
    kernels.finish_keys(keys, mine);
  };

#pragma omp parallel num_threads(threads)
  {
    T* const mine = memory + omp_get_thread_num() * per_thread;
    for (i64 unit = next++; unit < units.size(); unit = next++) run_unit(unit, mine);
  }
}

template void run_backward<float>(const TileKernels<float>&, const Heads&, const Heads&, const Heads&,
                                  const Heads&, const Matrix&, const Matrix&, const Heads&, const Heads&,
                                  const Heads&, const AttentionProblem&, Arena&);
template void run_backward<double>(const TileKernels<double>&, const Heads&, const Heads&, const Heads&,
                                   const Heads&, const Matrix&, const Matrix&, const Heads&, const Heads&,
                                   const Heads&, const AttentionProblem&, Arena&);

}  // namespace longsight::ops
