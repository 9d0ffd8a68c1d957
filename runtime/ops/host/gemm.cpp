#include "runtime/ops/host/gemm.h"

#include <Eigen/Core>
#include <algorithm>

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

namespace longsight::ops::host {
namespace {

// Rows of c that one thread computes at a time: an even number of blocks, for the threads to share, but few,
// for each packs b for itself, and oneDNN packs (and is faster by up to a half) from about 1,024 rows on. A
// weight's gradient (a transposed) has few rows and a long k. Never a function of the number of threads.
i64 rows_of_block(i64 rows, bool a_transposed) {
  const i64 blocks = 2 * ceil_div(rows, a_transposed ? 384 : 2560);
  return std::max<i64>(32, ceil_div(ceil_div(rows, blocks), 32) * 32);
}

// How much of k one call sums over. Where it does not pack, oneDNN walks down the columns of an operand that
// k runs through; with a stride of 2^n bytes these fall into the same few lines of the cache, unless they are
// short.
template <class T>
i64 depth_of_call(const Gemm<T>& g, i64 rows) {
  const bool strided = (g.a_transposed && g.lda % 256 == 0) || (!g.b_transposed && g.ldb % 256 == 0);
  return strided && rows < 1024 ? 128 : g.k;
}

constexpr i64 kSumColumns = 64;

// Rows [row, row + rows) of c (+)= op(a) op(b). Inside a parallel region oneDNN stays on the calling thread.
void product(const Gemm<float>& g, i64 row, i64 rows, bool add) {
  const i64 depth = depth_of_call(g, rows);
  for (i64 k = 0; k < g.k; k += depth) {
    const float* a = g.a + (g.a_transposed ? k * g.lda + row : row * g.lda + k);
    const float* b = g.b + (g.b_transposed ? k : k * g.ldb);
    const dnnl_status_t status = dnnl_sgemm(g.a_transposed ? 'T' : 'N', g.b_transposed ? 'T' : 'N', rows, g.n,
                                            std::min(depth, g.k - k), 1.F, a, g.lda, b, g.ldb,
                                            add || k > 0 ? 1.F : 0.F, g.c + row * g.ldc, g.ldc);
    check(status == dnnl_success, "dnnl_sgemm of {} x {} x {}: status {}", rows, g.n, g.k,
          static_cast<int>(status));
  }
}

void product(const Gemm<double>& g, i64 row, i64 rows, bool add) {
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::OuterStride<>;
  using In = Eigen::Map<const RowMajor, 0, Stride>;
  Eigen::Map<RowMajor, 0, Stride> c(g.c + row * g.ldc, rows, g.n, Stride(g.ldc));
  const In a(g.a + (g.a_transposed ? row : row * g.lda), g.a_transposed ? g.k : rows,
             g.a_transposed ? rows : g.k, Stride(g.lda));
  const In b(g.b, g.b_transposed ? g.n : g.k, g.b_transposed ? g.k : g.n, Stride(g.ldb));
  if (!add) c.setZero();
  if (g.a_transposed && g.b_transposed) {
    c.noalias() += a.transpose() * b.transpose();
  } else if (g.a_transposed) {
    c.noalias() += a.transpose() * b;
  } else if (g.b_transposed) {
    c.noalias() += a * b.transpose();
  } else {
    c.noalias() += a * b;
  }
}

// What is added to the product goes into c first: the product then reads it while it is in the cache. Returns
// whether c holds anything.
template <class T>
bool fill(const Gemm<T>& g, i64 row, i64 rows) {
  if (g.bias == nullptr && (g.addend == nullptr || g.addend == g.c)) return g.addend != nullptr;
  for (i64 r = row; r < row + rows; ++r) {
    T* c = g.c + r * g.ldc;
    const T* addend = g.addend == nullptr ? nullptr : g.addend + r * g.ld_addend;
    if (addend == nullptr) {
      std::copy(g.bias, g.bias + g.n, c);
    } else if (g.bias == nullptr) {
      std::copy(addend, addend + g.n, c);
    } else {
      for (i64 j = 0; j < g.n; ++j) c[j] = addend[j] + g.bias[j];
    }
  }
  return true;
}

template <class T>
void add_row_sums(const Gemm<T>& g, i64 first) {
  const i64 last = std::min(g.m, first + kSumColumns);
  for (i64 r = 0; r < g.k; ++r) {
    for (i64 c = first; c < last; ++c) g.a_sums[c] += g.a[r * g.lda + c];
  }
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

}  // namespace

template <class T>
void gemm(const Gemm<T>& g, const RowsDone& done) {
  if (g.a_sums != nullptr) {
    for_blocks(ceil_div(g.m, kSumColumns), [&](i64 block) { add_row_sums(g, block * kSumColumns); });
  }
  if (g.m == 0 || g.n == 0) return;
  const i64 block_rows = rows_of_block(g.m, g.a_transposed);
  for_blocks(ceil_div(g.m, block_rows), [&](i64 block) {
    const i64 row = block * block_rows, rows = std::min(block_rows, g.m - row);
    const bool add = fill(g, row, rows);
    if (g.k > 0) {
      product(g, row, rows, add);
    } else if (!add) {
      for (i64 r = row; r < row + rows; ++r) std::fill(g.c + r * g.ldc, g.c + r * g.ldc + g.n, T{});
    }
    if (done) done(row, rows);
  });
}

template void gemm(const Gemm<float>&, const RowsDone&);
template void gemm(const Gemm<double>&, const RowsDone&);

}  // namespace longsight::ops::host
