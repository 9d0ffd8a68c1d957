// The one place where matrix products are computed: f32 by oneDNN's dnnl_sgemm, bf16 by oneDNN's matmul where
// the processor has instructions for it, f64 by Eigen, with the additions that would otherwise be passes of
// their own. The result is cut into blocks of fixed size, each computed by one thread, so its bits do not
// depend on the number of threads.
#pragma once

#include <functional>

#include "runtime/tensor/dtype.h"

namespace longsight::ops::host {

// c [m, n] = op(a) op(b) + addend + bias, all row-major with rows `ld` elements apart; op transposes as
// stored. c overlaps no input; addend may be c itself. Sizes may be 0: with k = 0 the product is zero, with n
// = 0 a_sums are taken all the same. Everything is added up in the statistics' type of T, and rounded once
// where C is another.
template <class T, class C = T>
struct Gemm {
  i64 m = 0;
  i64 n = 0;
  i64 k = 0;
  const T* a = nullptr;  // [m, k], or [k, m] if a_transposed
  i64 lda = 0;
  bool a_transposed = false;
  const T* b = nullptr;  // [k, n], or [n, k] if b_transposed
  i64 ldb = 0;
  bool b_transposed = false;
  C* c = nullptr;  // [m, n]
  i64 ldc = 0;
  const C* addend = nullptr;  // [m, n], or none
  i64 ld_addend = 0;
  const T* bias = nullptr;          // [n], added to every row, or none
  Statistics<T>* a_sums = nullptr;  // [m], or none: += the sum over k of op(a); only with a_transposed
};

// Called once for each finished block of c: rows [row, row + rows), while they are in the cache.
using RowsDone = std::function<void(i64 row, i64 rows)>;

// Runs on all threads, or on the calling thread alone inside a parallel region.
template <class T>
requires std::is_same_v<T, Statistics<T>>
void gemm(const Gemm<T>& problem, const RowsDone& done = {});

// How products of bf16 are computed: with the processor's instructions for them (AVX512-BF16, AMX), or
// brought to f32 tile by tile. Of the two sums in f32 the bits differ.
enum class Bf16Products { instructions, in_f32 };
Bf16Products bf16_products();  // what this processor allows; decided once

// C: bf16 or float.
template <class C>
void gemm(const Gemm<bf16, C>& problem, const RowsDone& done = {}, Bf16Products = bf16_products());

}  // namespace longsight::ops::host
