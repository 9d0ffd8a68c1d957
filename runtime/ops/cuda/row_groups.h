// Private to the executors for CUDA: which rows are added to the same row. Sums need a fixed order and no
// atomics, so one thread has all terms of an element.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::ops::cuda {

// Group g: rows sources[begins[g]] to sources[begins[g + 1]], ascending, of those that go to row targets[g].
struct RowGroups {
  std::vector<i64> targets, begins, sources;
};

inline RowGroups group_by_row(std::span<const i64> index) {
  const auto at = [index](i64 i) { return index[static_cast<std::size_t>(i)]; };
  RowGroups groups;
  groups.sources.resize(index.size());
  std::iota(groups.sources.begin(), groups.sources.end(), i64{0});
  std::stable_sort(groups.sources.begin(), groups.sources.end(), [&](i64 a, i64 b) { return at(a) < at(b); });
  for (std::size_t k = 0; k < groups.sources.size(); ++k) {
    const i64 target = at(groups.sources[k]);
    if (groups.targets.empty() || groups.targets.back() != target) {
      groups.targets.push_back(target);
      groups.begins.push_back(static_cast<i64>(k));
    }
  }
  groups.begins.push_back(static_cast<i64>(groups.sources.size()));
  return groups;
}

}  // namespace longsight::ops::cuda
