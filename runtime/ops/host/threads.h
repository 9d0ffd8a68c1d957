// OpenMP loops of the host ops. What a thread computes never depends on how many there are: loops are split
// over items whose results are independent, and sums over rows go through blocks whose size depends on the
// number of rows alone.
#pragma once

#include <algorithm>
#include <memory>

#include <omp.h>

#include "runtime/base/number.h"

namespace longsight::ops::host {

// Below this many elements starting the threads costs more than they save.
inline constexpr i64 kParallelElements = 32768;

// f(first, count) on one range of [0, items) per thread; `elements` is the work of all items. f must not
// throw.
template <class F>
void parallel_ranges(i64 items, i64 elements, F&& f) {
  const int threads = elements < kParallelElements || omp_in_parallel()
                          ? 1
                          : static_cast<int>(std::min<i64>(omp_get_max_threads(), items));
  if (threads <= 1) {
    if (items > 0) f(i64{0}, items);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const i64 t = omp_get_thread_num(), n = omp_get_num_threads();
    const i64 first = items * t / n, last = items * (t + 1) / n;
    if (first < last) f(first, last - first);
  }
}

// f(i) for each item.
template <class F>
void parallel_items(i64 items, i64 elements, F&& f) {
  parallel_ranges(items, elements, [&](i64 first, i64 count) {
    for (i64 i = first; i < first + count; ++i) f(i);
  });
}

// Rows in blocks for a sum over all of them: at most 64 blocks, of at least 16 rows.
struct RowBlocks {
  explicit RowBlocks(i64 row_count)
      : rows(row_count), size(std::max<i64>(16, ceil_div(row_count, 64))), count(ceil_div(row_count, size)) {}
  i64 first(i64 block) const { return block * size; }
  i64 last(i64 block) const { return std::min(rows, (block + 1) * size); }
  i64 rows;
  i64 size;
  i64 count;
};

// A thread's own memory, 64-byte aligned, kept between calls. `Use` tells apart buffers that are alive
// together.
template <class Use>
void* thread_buffer(i64 bytes) {
  struct Free {
    void operator()(void* p) const noexcept { std::free(p); }
  };
  thread_local std::unique_ptr<void, Free> buffer;
  thread_local i64 size = 0;
  if (size < bytes) {
    buffer.reset();
    size = 0;
    const i64 rounded = ceil_div(bytes, 64) * 64;
    buffer.reset(std::aligned_alloc(64, static_cast<std::size_t>(rounded)));
    check(buffer != nullptr, "no memory for a buffer of {} bytes", rounded);
    size = rounded;
  }
  return buffer.get();
}

}  // namespace longsight::ops::host
