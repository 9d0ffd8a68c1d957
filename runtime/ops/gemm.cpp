#include "runtime/ops/gemm.h"

#include <exception>

#include "runtime/ops/gemm_block.h"
#include "runtime/ops/host_threads.h"

namespace longsight::ops {
namespace {

struct GemmBuffer {};

// How many rows and columns of blocks the threads form.
struct Grid {
  i64 rows = 1;
  i64 columns = 1;
};

// The grid whose slowest thread is done first. In units of one multiply-add: packing an element of b costs
// about 16, reading one of a about 6; every row of blocks packs b again, every column reads a again.
Grid choose_grid(i64 m, i64 n, i64 threads, GemmTile tile) {
  Grid best;
  i64 best_cost = 0;
  for (i64 columns = 1; columns <= threads; ++columns) {
    const Grid grid{threads / columns, columns};
    const i64 rows_each = ceil_div(ceil_div(m, tile.rows), grid.rows) * tile.rows;
    const i64 columns_each = ceil_div(ceil_div(n, 16), grid.columns) * 16;
    const i64 cost = rows_each * columns_each + 16 * columns_each + 6 * rows_each;
    if (columns == 1 || cost < best_cost) {
      best = grid;
      best_cost = cost;
    }
  }
  return best;
}

// Part `index` of `parts` of [0, size), cut at multiples of `unit`.
struct Range {
  i64 first;
  i64 count;
};
Range part(i64 size, i64 unit, i64 parts, i64 index) {
  const i64 units = ceil_div(size, unit);
  const i64 first = std::min(size, units * index / parts * unit),
            last = std::min(size, units * (index + 1) / parts * unit);
  return {first, last - first};
}

void call_done(const void* context, i64 row, i64 rows, i64 column, i64 columns) {
  (*static_cast<const TileDone*>(context))(row, rows, column, columns);
}

}  // namespace

bool machine_has(GemmIsa isa) {
  return isa == GemmIsa::avx2 || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"));
}

template <class T>
void gemm_with(GemmIsa isa, const Gemm<T>& p, const TileDone& done) {
  check(p.m >= 0 && p.n >= 0 && p.k >= 0, "product of [{}, {}] and [{}, {}]", p.m, p.k, p.k, p.n);
  check(p.a_sums == nullptr || p.a_transposed, "sums of a are only taken of a transposed operand");
  if (p.m == 0 || (p.n == 0 && p.a_sums == nullptr)) return;
  const bool wide = isa == GemmIsa::avx512;
  const GemmTile tile = wide ? kGemmTileAvx512 : kGemmTileAvx2;
  const auto run = [&](Range rows, Range columns) {
    if (rows.count == 0 || (columns.count == 0 && p.n > 0)) return;
    GemmBlock<T> block{p, rows.first, rows.count, columns.first, columns.count};
    block.scratch = static_cast<T*>(thread_buffer<GemmBuffer>(kGemmScratchBytes));
    if (done) {
      block.done = call_done;
      block.context = &done;
    }
    wide ? gemm_block_avx512(block) : gemm_block_avx2(block);
  };
  const i64 threads =
      omp_in_parallel() || p.m * std::max<i64>(p.n, 1) * std::max<i64>(p.k, 1) < (i64{1} << 19)
          ? 1
          : omp_get_max_threads();
  const Grid grid = p.n == 0 ? Grid{threads, 1} : choose_grid(p.m, p.n, threads, tile);
  if (grid.rows * grid.columns == 1) {
    run({0, p.m}, {0, p.n});
    return;
  }
  const int team = static_cast<int>(grid.rows * grid.columns);
  std::exception_ptr error;
#pragma omp parallel num_threads(team)
  {
    try {
      // A smaller team than asked for still computes every block.
      for (i64 i = omp_get_thread_num(); i < team; i += omp_get_num_threads()) {
        run(part(p.m, tile.rows, grid.rows, i / grid.columns), part(p.n, 16, grid.columns, i % grid.columns));
      }
    } catch (...) {
#pragma omp critical(gemm_error)
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

template <class T>
void gemm(const Gemm<T>& problem, const TileDone& done) {
  static const GemmIsa isa = machine_has(GemmIsa::avx512) ? GemmIsa::avx512 : GemmIsa::avx2;
  gemm_with(isa, problem, done);
}

template void gemm(const Gemm<float>&, const TileDone&);
template void gemm(const Gemm<double>&, const TileDone&);
template void gemm_with(GemmIsa, const Gemm<float>&, const TileDone&);
template void gemm_with(GemmIsa, const Gemm<double>&, const TileDone&);

}  // namespace longsight::ops
