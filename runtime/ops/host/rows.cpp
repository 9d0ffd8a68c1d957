#include "runtime/ops/host/rows.h"

#include <cstring>

#include "runtime/ops/host/threads.h"
#include "runtime/tensor/convert.h"

namespace longsight::ops::host {
namespace {

std::byte* row_of(Matrix m, i64 row) {
  return static_cast<std::byte*>(m.data) + row * m.stride * size_of(m.dtype);
}

// Copies row from(i) of x to row to(i) of y, for i in [0, count).
template <class To, class From>
void copy_rows(Matrix y, Matrix x, i64 count, To&& to, From&& from) {
  const auto bytes = static_cast<std::size_t>(x.cols * size_of(x.dtype));
  if (bytes == 0) return;
  parallel_items(count, count * x.cols,
                 [&](i64 i) { std::memcpy(row_of(y, to(i)), row_of(x, from(i)), bytes); });
}

// Calls f with the elements of y and of x, of whose type or statistics' type y is.
template <class F>
void dispatch_sum(Matrix y, Matrix x, F&& f) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (y.dtype == x.dtype) return f(y.host<T>(), static_cast<const T*>(x.host<T>()));
    f(y.host<Statistics<T>>(), static_cast<const T*>(x.host<T>()));
  });
}

}  // namespace

void gather_rows(Matrix y, Matrix x, std::span<const i64> index) {
  copy_rows(
      y, x, y.rows, [](i64 i) { return i; }, [&](i64 i) { return index[static_cast<std::size_t>(i)]; });
}

void scatter_rows(Matrix y, Matrix x, std::span<const i64> index) {
  copy_rows(
      y, x, x.rows, [&](i64 i) { return index[static_cast<std::size_t>(i)]; }, [](i64 i) { return i; });
}

void scatter_add_rows(Matrix y, Matrix x, std::span<const i64> index) {
  dispatch_sum(y, x, [&](auto* out, const auto* in) {
    // Threads share out the columns, in units of a cache line or more: an index may come twice.
    constexpr i64 kUnit = 16;
    parallel_ranges(ceil_div(x.cols, kUnit), x.rows * x.cols, [&](i64 first_unit, i64 units) {
      const i64 first = first_unit * kUnit, last = std::min(x.cols, (first_unit + units) * kUnit);
      for (i64 r = 0; r < x.rows; ++r) {
        auto* to = out + index[static_cast<std::size_t>(r)] * y.stride;
        const auto* from = in + r * x.stride;
#pragma omp simd
        for (i64 c = first; c < last; ++c) to[c] = to[c] + from[c];
      }
    });
  });
}

void copy_matrix(Matrix to, Matrix from) {
  if (to.dtype != from.dtype) {
    return parallel_items(to.rows, to.rows * to.cols, [&](i64 r) {
      convert(row_of(to, r), to.dtype, row_of(from, r), from.dtype, to.cols);
    });
  }
  copy_rows(
      to, from, to.rows, [](i64 i) { return i; }, [](i64 i) { return i; });
}

void add_matrix(Matrix y, Matrix x) {
  dispatch_sum(y, x, [&](auto* out, const auto* in) {
    parallel_items(x.rows, x.rows * x.cols, [&](i64 r) {
      auto* to = out + r * y.stride;
      const auto* from = in + r * x.stride;
#pragma omp simd
      for (i64 c = 0; c < x.cols; ++c) to[c] = to[c] + from[c];
    });
  });
}

void zero_matrix(Matrix y) {
  const auto bytes = static_cast<std::size_t>(y.cols * size_of(y.dtype));
  if (bytes == 0) return;
  parallel_items(y.rows, y.rows * y.cols, [&](i64 r) { std::memset(row_of(y, r), 0, bytes); });
}

}  // namespace longsight::ops::host
