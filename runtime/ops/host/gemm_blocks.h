// Private to the products: the blocks of rows that a result is cut into, and what is the same for all types.
#pragma once

#include <algorithm>
#include <exception>

#include <omp.h>

#include "runtime/ops/host/gemm.h"

namespace longsight::ops::host {

// Rows of c that one thread computes at a time: an even number of blocks, for the threads to share, but few,
// for each packs b for itself, and oneDNN packs (and is faster by up to a half) from about 1,024 rows on. A
// weight's gradient (a transposed) has few rows and a long k. Never a function of the number of threads.
inline i64 rows_of_block(i64 rows, bool a_transposed) {
  const i64 blocks = 2 * ceil_div(rows, a_transposed ? 384 : 2560);
  return std::max<i64>(32, ceil_div(ceil_div(rows, blocks), 32) * 32);
}

// f(block) for every block, each on one thread. Errors are not thrown through the parallel region.
template <class F>
void for_blocks(i64 count, F&& f) {
  std::exception_ptr failure;
#pragma omp parallel if (count > 1 && !omp_in_parallel())
  {
    // In a region of one thread oneDNN would start threads of its own and may split k among them.
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
#pragma omp for schedule(dynamic)
    for (i64 block = 0; block < count; ++block) {
      try {
        f(block);
      } catch (...) {
#pragma omp critical
        failure = std::current_exception();
      }
    }
    omp_set_num_threads(threads);
  }
  if (failure) std::rethrow_exception(failure);
}

// a_sums, then product(row, rows) for the blocks of c, each followed by `done`.
template <class T, class C, class F>
void gemm_in_blocks(const Gemm<T, C>& g, const RowsDone& done, F&& product) {
  if (g.a_sums != nullptr) {
    constexpr i64 kColumns = 64;
    for_blocks(ceil_div(g.m, kColumns), [&](i64 block) {
      const i64 first = block * kColumns, last = std::min(g.m, first + kColumns);
      for (i64 r = 0; r < g.k; ++r) {
        for (i64 c = first; c < last; ++c) g.a_sums[c] += g.a[r * g.lda + c];
      }
    });
  }
  if (g.m == 0 || g.n == 0) return;
  const i64 block_rows = rows_of_block(g.m, g.a_transposed);
  for_blocks(ceil_div(g.m, block_rows), [&](i64 block) {
    const i64 row = block * block_rows, rows = std::min(block_rows, g.m - row);
    product(row, rows);
    if (done) done(row, rows);
  });
}

}  // namespace longsight::ops::host
