// Unit of work: the keys of one tile and one KV head, with all queries that see them. dk and dv belong to the
// unit; dq of a query tile gets one addend from each of its key tiles, always in the order of the keys: a
// unit waits for its turn. Units are handed out in order and wait only for units before them, so one that
// need not wait always runs.
#include <atomic>
#include <optional>
#include <thread>

#include <immintrin.h>
#include <omp.h>

#include "runtime/ops/host/attention_plan.h"

namespace longsight::ops::host {

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

// Tiles of keys that a tile of queries sees, numbered: [0, prefix) and, behind them, [begin, end). The first
// clears what the others add to.
struct KeyTiles {
  KeyTiles(const Tiling& tiling, const VisibleKeys& keys)
      : prefix(ceil_div(keys.prefix, tiling.size)), begin(0), end(0) {
    if (keys.begin == keys.end) return;
    begin = std::max(prefix, keys.begin / tiling.size);
    end = std::max(begin, ceil_div(keys.end, tiling.size));
  }
  bool none() const { return prefix == 0 && begin == end; }
  bool hold(i64 tile) const { return tile < prefix || (begin <= tile && tile < end); }
  i64 count() const { return prefix + end - begin; }
  i64 before(i64 tile) const {
    return std::min(tile, prefix) + std::clamp<i64>(tile - begin, 0, end - begin);
  }

  i64 prefix, begin, end;
};

template <class T>
void clear(T* rows, i64 stride, i64 count, i64 width) {
  for (i64 r = 0; r < count; ++r) std::fill_n(rows + r * stride, width, T(0));
}

}  // namespace

template <class T>
BackwardScratch backward_scratch(const TileKernels<T>& kernels, const Heads& q,
                                 const AttentionProblem& problem, Arena& scratch) {
  i64 query_tiles = 0;
  for (const AttentionSpan& span : problem.spans) query_tiles += Tiling(span.q_rows, kBackwardQueries).count;
  const i64 per_thread = elements_per_thread(kernels.backward_scratch(q.width));
  return {.units = SpanItems::memory(problem.spans, scratch),
          .query_tiles = SpanItems::memory(problem.spans, scratch),
          .turns = scratch.take(DType::I64, {q.heads, query_tiles}, "attention.turns"),
          .tiles = scratch.take(dtype_of<Statistics<T>>(), {omp_get_max_threads(), per_thread},
                                "attention.tiles")};
}

template <class T>
Heads dq_sums(const Heads& dq, Arena& scratch) {
  if constexpr (std::is_same_v<T, Statistics<T>>) return dq;
  return scratch.take(dtype_of<Statistics<T>>(), {dq.rows(), dq.heads, dq.width}, "attention.dq");
}

template <class T>
void run_backward(const TileKernels<T>& kernels, const Heads& dq, const Heads& dk, const Heads& dv,
                  const Heads& d_o, const Matrix& delta, const Matrix& lse, const Heads& q, const Heads& k,
                  const Heads& v, const AttentionProblem& problem, const BackwardScratch& scratch) {
  const i64 heads = q.heads, kv_heads = k.heads, width = q.width;
  if (kv_heads == 0) return;
  const i64 key_limit = tile_limit(problem.spans, &AttentionSpan::k_rows, kv_heads, kBackwardKeys);
  // A span has at least one unit of each KV head: its first also clears dq of queries that see nothing.
  // Heads of one key tile follow each other, so that neighbouring units seldom wait for each other.
  const SpanItems units(problem.spans, scratch.units, [&](const AttentionSpan& span) {
    return std::max<i64>(1, Tiling(span.k_rows, key_limit).count) * kv_heads;
  });
  const SpanItems query_tiles(problem.spans, scratch.query_tiles, [&](const AttentionSpan& span) {
    return Tiling(span.q_rows, kBackwardQueries).count;
  });
  i64* const turns = scratch.turns.host<i64>();
  std::fill(turns, turns + heads * query_tiles.size(), 0);
  const int threads = static_cast<int>(scratch.tiles.rows());
  const i64 per_thread = scratch.tiles.row_size();
  using S = Statistics<T>;
  S* const memory = scratch.tiles.host<S>();
  const HeadRows<T> q_rows(q), k_rows(k), v_rows(v), do_rows(d_o), dq_rows(dq), dk_rows(dk), dv_rows(dv);
  const HeadRows<S> sum_rows(scratch.dq_sums);
  const S *const lse_data = lse.host<S>(), *const delta_data = delta.host<S>();
  std::atomic<i64> next = 0;

  // Keys of one tile, and the query heads that use their KV head.
  struct Unit {
    std::size_t span;
    i64 tile, begin_head, end_head;
    TileMask mask;
    Tiling keys, queries;
    KeyTile<T> data;
  };
  const auto unit_at = [&](i64 number) {
    const std::size_t s = units.span_of(number);
    const AttentionSpan& span = problem.spans[s];
    const i64 tile = (number - units.first(s)) / kv_heads, kv = (number - units.first(s)) % kv_heads;
    const i64 first_head = (problem.heads.first_kv + kv) * problem.heads.group - problem.heads.first_q;
    const Tiling keys(span.k_rows, key_limit);
    const i64 row = span.k_begin + keys.begin(tile);
    return Unit{.span = s,
                .tile = tile,
                .begin_head = std::max<i64>(0, first_head),
                .end_head = std::min(heads, first_head + problem.heads.group),
                .mask = mask_of(span),
                .keys = keys,
                .queries = Tiling(span.q_rows, kBackwardQueries),
                .data = {.width = width,
                         .keys = std::max<i64>(0, keys.rows(tile)),
                         .scale = problem.scale,
                         .k = k_rows.at(row, kv),
                         .v = v_rows.at(row, kv),
                         .k_stride = k_rows.stride,
                         .v_stride = v_rows.stride,
                         .dk = dk_rows.at(row, kv),
                         .dv = dv_rows.at(row, kv),
                         .dk_stride = dk_rows.stride,
                         .dv_stride = dv_rows.stride}};
  };
  const auto tiles_seen = [&](const Unit& unit, i64 query_tile) {
    return KeyTiles(unit.keys, VisibleKeys(unit.mask, unit.queries.begin(query_tile),
                                           unit.queries.rows(query_tile), unit.keys.total));
  };

  struct Visit {
    i64 head, tile;
    i64* turn;   // visits to these queries so far
    i64 before;  // that come before this one
    bool last;   // no other comes behind it
    QueryTile<T> data;
  };
  // The first visit of the unit from this head and tile of queries on.
  const auto visit_from = [&](const Unit& unit, i64 head, i64 tile) -> std::optional<Visit> {
    for (;; ++tile) {
      if (tile >= unit.queries.count) {
        tile = 0;
        ++head;
      }
      if (head >= unit.end_head || unit.queries.count == 0) return std::nullopt;
      const KeyTiles seen = tiles_seen(unit, tile);
      if (!seen.hold(unit.tile)) continue;
      const i64 first = unit.queries.begin(tile), row = problem.spans[unit.span].q_begin + first;
      return Visit{.head = head,
                   .tile = tile,
                   .turn = turns + head * query_tiles.size() + query_tiles.first(unit.span) + tile,
                   .before = seen.before(unit.tile),
                   .last = seen.before(unit.tile) + 1 == seen.count(),
                   .data = {.queries = unit.queries.rows(tile),
                            .mask = mask_from(unit.mask, first, unit.keys.begin(unit.tile)),
                            .first = false,
                            .last = false,
                            .q = q_rows.at(row, head),
                            .d_o = do_rows.at(row, head),
                            .lse = lse_data + row * lse.stride + head,
                            .delta = delta_data + row * delta.stride + head,
                            .q_stride = q_rows.stride,
                            .d_o_stride = do_rows.stride,
                            .lse_stride = lse.stride,
                            .delta_stride = delta.stride,
                            .dq = dq_rows.at(row, head),
                            .dq_sum = sum_rows.at(row, head),
                            .dq_stride = dq_rows.stride,
                            .dq_sum_stride = sum_rows.stride}};
    }
  };
  const auto first_visit = [&](const Unit& unit) { return visit_from(unit, unit.begin_head, 0); };

  // Queries that see nothing are visited by nobody.
  const auto clear_blind = [&](const Unit& unit) {
    for (i64 tile = 0; tile < unit.queries.count; ++tile) {
      if (!tiles_seen(unit, tile).none()) continue;
      const i64 row = problem.spans[unit.span].q_begin + unit.queries.begin(tile);
      for (i64 head = unit.begin_head; head < unit.end_head; ++head)
        clear(dq_rows.at(row, head), dq_rows.stride, unit.queries.rows(tile), width);
    }
  };

  const auto run_unit = [&](const Unit& unit, const std::optional<Unit>& next_unit, S* mine) {
    if (unit.tile == 0) clear_blind(unit);
    std::optional<Visit> visit = first_visit(unit);
    if (!visit) {
      clear(unit.data.dk, unit.data.dk_stride, unit.data.keys, width);
      clear(unit.data.dv, unit.data.dv_stride, unit.data.keys, width);
      return;
    }
    kernels.begin_keys(unit.data, mine);
    for (bool first = true; visit; first = false) {
      std::optional<Visit> after = visit_from(unit, visit->head, visit->tile + 1);
      visit->data.first = first;
      visit->data.last = !after;
      const std::optional<Visit> next_visit = after || !next_unit ? after : first_visit(*next_unit);
      kernels.visit_queries(unit.data, visit->data, !after && next_unit ? &next_unit->data : nullptr,
                            next_visit ? &next_visit->data : nullptr, mine);
      wait_for(*visit->turn, visit->before);
      kernels.write_dq(unit.data, visit->data, visit->before > 0, visit->last, mine);
      std::atomic_ref<i64>(*visit->turn).store(visit->before + 1, std::memory_order_release);
      visit = after;
    }
    kernels.finish_keys(unit.data, mine);
  };

#pragma omp parallel num_threads(threads)
  {
    S* const mine = memory + omp_get_thread_num() * per_thread;
    // As in forward, a thread takes its next unit before it works on the one it has. It works in the order of
    // the units, so the first unfinished one is always being worked on and waits for none.
    std::optional<Unit> now, then;
    const auto take = [&] {
      const i64 unit = next++;
      return unit < units.size() ? std::optional(unit_at(unit)) : std::nullopt;
    };
    for (now = take(); now; now = then) {
      then = take();
      run_unit(*now, then, mine);
    }
  }
}

void attention_delta(const Matrix& delta, const Heads& d_o, const Heads& o) {
  dispatch(d_o.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    const HeadRows<T> left(d_o), right(o);
    S* out = delta.host<S>();
    const i64 width = d_o.width;
#pragma omp parallel for
    for (i64 t = 0; t < d_o.rows(); ++t) {
      for (i64 h = 0; h < d_o.heads; ++h) {
        const T *a = left.at(t, h), *b = right.at(t, h);
        S sum = 0;
#pragma omp simd reduction(+ : sum)
        for (i64 c = 0; c < width; ++c) sum += S(a[c]) * S(b[c]);
        out[t * delta.stride + h] = sum;
      }
    }
  });
}

template BackwardScratch backward_scratch(const TileKernels<float>&, const Heads&, const AttentionProblem&,
                                          Arena&);
template BackwardScratch backward_scratch(const TileKernels<bf16>&, const Heads&, const AttentionProblem&,
                                          Arena&);
template BackwardScratch backward_scratch(const TileKernels<double>&, const Heads&, const AttentionProblem&,
                                          Arena&);
template Heads dq_sums<float>(const Heads&, Arena&);
template Heads dq_sums<bf16>(const Heads&, Arena&);
template Heads dq_sums<double>(const Heads&, Arena&);
template void run_backward<float>(const TileKernels<float>&, const Heads&, const Heads&, const Heads&,
                                  const Heads&, const Matrix&, const Matrix&, const Heads&, const Heads&,
                                  const Heads&, const AttentionProblem&, const BackwardScratch&);
template void run_backward<bf16>(const TileKernels<bf16>&, const Heads&, const Heads&, const Heads&,
                                 const Heads&, const Matrix&, const Matrix&, const Heads&, const Heads&,
                                 const Heads&, const AttentionProblem&, const BackwardScratch&);
template void run_backward<double>(const TileKernels<double>&, const Heads&, const Heads&, const Heads&,
                                   const Heads&, const Matrix&, const Matrix&, const Heads&, const Heads&,
                                   const Heads&, const AttentionProblem&, const BackwardScratch&);

}  // namespace longsight::ops::host
