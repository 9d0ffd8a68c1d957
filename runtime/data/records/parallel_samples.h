// Work on the samples of a data set on all threads of a rank, with errors in the order of the samples.
#pragma once

#include <algorithm>
#include <exception>
#include <functional>
#include <vector>

#include <omp.h>

#include "runtime/base/number.h"

namespace longsight::data {

// work(item, thread) for each item of [0, count), in blocks; after each block, on the calling thread and in
// the order of the items, done(item, error) with a null error or what `work` threw. What `done` throws ends
// it. As many `thread`s as sample_threads().
template <class Work, class Done>
void parallel_samples(i64 count, Work&& work, Done&& done) {
  constexpr i64 kBlockPerThread = 32;
  const i64 block = kBlockPerThread * omp_get_max_threads();
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(std::min(block, count)));
  for (i64 first = 0; first < count; first += block) {
    const i64 last = std::min(first + block, count);
#pragma omp parallel for schedule(dynamic)
    for (i64 i = first; i < last; ++i) {
      std::exception_ptr& error = errors[static_cast<std::size_t>(i - first)];
      error = nullptr;
      try {
        work(i, omp_get_thread_num());
      } catch (...) {
        error = std::current_exception();
      }
    }
    for (i64 i = first; i < last; ++i) done(i, errors[static_cast<std::size_t>(i - first)]);
  }
}

inline int sample_threads() {
  return omp_get_max_threads();
}

}  // namespace longsight::data
