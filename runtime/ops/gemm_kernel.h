// Private to gemm_avx2.cpp and gemm_avx512.cpp: each compiles this text for its own instructions, hence the
// unnamed namespace (NOLINT). No template of the standard library is used: its instances would be shared with
// files for smaller machines.
#pragma once

#include <immintrin.h>

#include "runtime/ops/gemm_block.h"

namespace longsight::ops {
namespace {

inline i64 smaller(i64 a, i64 b) {
  return a < b ? a : b;
}

// d[j][i] = s[i][j] for a square that fills vectors: 8 x 8 floats or 4 x 4 doubles.
inline void transpose_square(const float* s, i64 ls, float* d, i64 ld) {
  __m256 lower[4], upper[4];  // rows i and i + 4 side by side: columns 0..3 and 4..7
  for (int i = 0; i < 4; ++i) {
    lower[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(s + i * ls)),
                                    _mm_loadu_ps(s + (i + 4) * ls), 1);
    upper[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(s + i * ls + 4)),
                                    _mm_loadu_ps(s + (i + 4) * ls + 4), 1);
  }
  for (int half = 0; half < 2; ++half) {
    const __m256* r = half ? upper : lower;
    const __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
    const __m256 e = _mm256_unpacklo_ps(r[2], r[3]), f = _mm256_unpackhi_ps(r[2], r[3]);
    float* to = d + half * 4 * ld;
    _mm256_storeu_ps(to, _mm256_shuffle_ps(a, e, 0x44));
    _mm256_storeu_ps(to + ld, _mm256_shuffle_ps(a, e, 0xEE));
    _mm256_storeu_ps(to + 2 * ld, _mm256_shuffle_ps(b, f, 0x44));
    _mm256_storeu_ps(to + 3 * ld, _mm256_shuffle_ps(b, f, 0xEE));
  }
}
inline void transpose_square(const double* s, i64 ls, double* d, i64 ld) {
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) d[j * ld + i] = s[i * ls + j];
  }
}

template <class T, int kBytes, int kRows, int kVectors>
struct Kernel {
  static constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));
  static constexpr int kColumns = kVectors * kLanes;
  typedef T Vector __attribute__((vector_size(kBytes)));
  typedef T Loose __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));

  // c [R, N vectors] = a [R, k] panel [k, N vectors] + addend + bias, kept in registers.
  // a is row-major, or packed as [k, kRows].
  template <int R, int N, bool kPacked>
  static void tile(i64 k, const T* a, i64 lda, const T* panel, T* c, i64 ldc, const T* addend, i64 ld_addend,
                   const T* bias) {
    Vector sum[R][N];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) {
        sum[r][v] = Vector{};
        __builtin_prefetch(c + r * ldc + v * kLanes, 1);
      }
    }
    for (i64 l = 0; l < k; ++l) {
      Vector b[N];
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) b[v] = *reinterpret_cast<const Vector*>(panel + v * kLanes);
      panel += N * kLanes;
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const T factor = kPacked ? a[l * kRows + r] : a[r * lda + l];
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) sum[r][v] += factor * b[v];
      }
    }
    if (addend != nullptr) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) {
          sum[r][v] += *reinterpret_cast<const Loose*>(addend + r * ld_addend + v * kLanes);
        }
      }
    }
    if (bias != nullptr) {
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) {
        const Vector b = *reinterpret_cast<const Loose*>(bias + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sum[r][v] += b;
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) *reinterpret_cast<Loose*>(c + r * ldc + v * kLanes) = sum[r][v];
    }
  }

  using TileFunction = void (*)(i64, const T*, i64, const T*, T*, i64, const T*, i64, const T*);

  template <int R, int N>
  static TileFunction find_tile(i64 rows, i64 vectors, bool packed) {
    if (rows < R) {
      if constexpr (R > 1) return find_tile<R - 1, N>(rows, vectors, packed);
    }
    if (vectors < N) {
      if constexpr (N > 1) return find_tile<R, N - 1>(rows, vectors, packed);
    }
    return packed ? tile<R, N, true> : tile<R, N, false>;
  }

  // b [k0 .. k0 + depth, j .. j + columns] as rows of `width` lanes; lanes without a column are zero.
  static void pack_panel(const Gemm<T>& p, i64 k0, i64 depth, i64 j, i64 columns, i64 width, T* panel) {
    constexpr int kSquare = 32 / static_cast<int>(sizeof(T));
    if (!p.b_transposed) {
      for (i64 l = 0; l < depth; ++l) {
        const T* from = p.b + (k0 + l) * p.ldb + j;
        T* to = panel + l * width;
        for (i64 q = 0; q < columns; ++q) to[q] = from[q];
        for (i64 q = columns; q < width; ++q) to[q] = T{};
      }
      return;
    }
    const i64 squares = columns - columns % kSquare, whole = depth - depth % kSquare;
    for (i64 l = 0; l < whole; l += kSquare) {
      for (i64 q = 0; q < squares; q += kSquare) {
        transpose_square(p.b + (j + q) * p.ldb + k0 + l, p.ldb, panel + l * width + q, width);
      }
    }
    for (i64 l = 0; l < depth; ++l) {
      for (i64 q = l < whole ? squares : 0; q < columns; ++q)
        panel[l * width + q] = p.b[(j + q) * p.ldb + k0 + l];
      for (i64 q = columns; q < width; ++q) panel[l * width + q] = T{};
    }
  }

  // Tiles of op(a) as [depth, kRows] each, from a stored [k, m]; the sums of op(a) over this depth on the
  // way.
  static void pack_rows(const Gemm<T>& p, i64 k0, i64 depth, i64 i, i64 rows, T* packed, T* sums) {
    T total[kGemmRowTiles * kRows] = {};
    const i64 whole = rows - rows % kRows;
    for (i64 l = 0; l < depth; ++l) {
      const T* from = p.a + (k0 + l) * p.lda + i;
      __builtin_prefetch(from + 8 * p.lda);
      T* to = packed + l * kRows;
      for (i64 t = 0; t < whole; t += kRows) __builtin_memcpy(to + t * depth, from + t, kRows * sizeof(T));
      for (i64 r = whole; r < rows; ++r) to[whole * depth + r - whole] = from[r];
      if (sums != nullptr) {
        for (i64 r = 0; r < rows; ++r) total[r] += from[r];
      }
    }
    if (sums != nullptr) {
      for (i64 r = 0; r < rows; ++r) sums[r] += total[r];
    }
  }

  // The tile at (i, j); columns behind the last whole vector go through a buffer. The sums are the same
  // either way.
  static void run_tile(const Gemm<T>& p, bool first, i64 depth, const T* a, i64 lda, bool packed,
                       const T* panel, i64 i, i64 rows, i64 j, i64 columns) {
    const i64 vectors = (columns + kLanes - 1) / kLanes;
    const TileFunction compute = find_tile<kRows, kVectors>(rows, vectors, packed);
    T* c = p.c + i * p.ldc + j;
    const T* addend = !first ? c : p.addend != nullptr ? p.addend + i * p.ld_addend + j : nullptr;
    const i64 ld_addend = first ? p.ld_addend : p.ldc;
    const T* bias = first && p.bias != nullptr ? p.bias + j : nullptr;
    if (columns == vectors * kLanes) {
      compute(depth, a, lda, panel, c, p.ldc, addend, ld_addend, bias);
      return;
    }
    alignas(64) T buffer[kRows * kColumns];
    compute(depth, a, lda, panel, buffer, kColumns, nullptr, 0, nullptr);
    for (i64 r = 0; r < rows; ++r) {
      for (i64 q = 0; q < columns; ++q) {
        T value = buffer[r * kColumns + q];
        if (addend != nullptr) value += addend[r * ld_addend + q];
        if (bias != nullptr) value += bias[q];
        c[r * p.ldc + q] = value;
      }
    }
  }

  static void run(const GemmBlock<T>& block) {
    const Gemm<T>& p = block.problem;
    T* const panels = block.scratch;
    T* const packed_rows = block.scratch + kGemmDepth * kGemmWidth;
    const i64 row_end = block.row + block.rows, column_end = block.column + block.columns;
    // Once without columns where there are none, for the sums.
    for (i64 j0 = block.column; j0 == block.column || j0 < column_end; j0 += kGemmWidth) {
      const i64 width = smaller(kGemmWidth, column_end - j0);
      for (i64 k0 = 0; k0 == 0 || k0 < p.k; k0 += kGemmDepth) {
        const i64 depth = smaller(kGemmDepth, p.k - k0);
        const bool first = k0 == 0, last = k0 + depth == p.k;
        for (i64 j = 0; j < width; j += kColumns) {
          const i64 columns = smaller(kColumns, width - j);
          pack_panel(p, k0, depth, j0 + j, columns, (columns + kLanes - 1) / kLanes * kLanes,
                     panels + j * depth);
        }
        const i64 row_step = p.a_transposed ? kGemmRowTiles * kRows : kRows;
        for (i64 i0 = block.row; i0 < row_end; i0 += row_step) {
          const i64 step = smaller(row_step, row_end - i0);
          if (p.a_transposed) {
            // The block at the left edge of c counts the sums: each row has one such block.
            T* sums = p.a_sums != nullptr && j0 == 0 ? p.a_sums + i0 : nullptr;
            pack_rows(p, k0, depth, i0, step, packed_rows, sums);
          }
          for (i64 i = 0; i < step; i += kRows) {
            const T* a = p.a_transposed ? packed_rows + i * depth : p.a + (i0 + i) * p.lda + k0;
            const i64 rows = smaller(kRows, step - i);
            for (i64 j = 0; j < width; j += kColumns) {
              run_tile(p, first, depth, a, p.lda, p.a_transposed, panels + j * depth, i0 + i, rows, j0 + j,
                       smaller(kColumns, width - j));
            }
            if (last && block.done != nullptr) block.done(block.context, i0 + i, rows, j0, width);
          }
        }
      }
    }
  }
};

}  // namespace
}  // namespace longsight::ops
