#include "runtime/ops/host/gemm.h"

#include <Eigen/Core>

#include <oneapi/dnnl/dnnl.h>

#include "runtime/ops/host/gemm_blocks.h"

namespace longsight::ops::host {
namespace {

// How much of k one call sums over. Where it does not pack, oneDNN walks down the columns of an operand that
// k runs through; with a stride of 2^n bytes these fall into the same few lines of the cache, unless they are
// short.
template <class T>
i64 depth_of_call(const Gemm<T>& g, i64 rows) {
  const bool strided = (g.a_transposed && g.lda % 256 == 0) || (!g.b_transposed && g.ldb % 256 == 0);
  return strided && rows < 1024 ? 128 : g.k;
}

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

}  // namespace

template <class T>
requires std::is_same_v<T, Statistics<T>>
void gemm(const Gemm<T>& g, const RowsDone& done) {
  gemm_in_blocks(g, done, [&](i64 row, i64 rows) {
    const bool add = fill(g, row, rows);
    if (g.k > 0) {
      product(g, row, rows, add);
    } else if (!add) {
      for (i64 r = row; r < row + rows; ++r) std::fill(g.c + r * g.ldc, g.c + r * g.ldc + g.n, T{});
    }
  });
}

template void gemm(const Gemm<float>&, const RowsDone&);
template void gemm(const Gemm<double>&, const RowsDone&);

}  // namespace longsight::ops::host
