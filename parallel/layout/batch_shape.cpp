#include "parallel/layout/batch_shape.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace longsight::parallel {

i64 BatchShape::feature_count() const {
  return std::accumulate(features.begin(), features.end(), i64{0},
                         [](i64 n, const FeatureRun& run) { return n + run.count; });
}

i64 BatchShape::supervised_count() const {
  return std::accumulate(supervised.begin(), supervised.end(), i64{0},
                         [](i64 n, RowRange r) { return n + r.rows(); });
}

std::vector<FeatureRun> feature_runs(const Geometry& g) {
  std::vector<FeatureRun> runs;
  for (i64 f = 0; f < g.features(); ++f) {
    const i64 row = g.feature_rows[static_cast<std::size_t>(f)],
              position = g.feature_positions[static_cast<std::size_t>(f)];
    if (!runs.empty()) {
      FeatureRun& run = runs.back();
      if (row == run.first_row + run.count * run.row_step && position == run.first_position + run.count) {
        ++run.count;
        continue;
      }
    }
    runs.push_back({row, g.merge, position, 1});
  }
  return runs;
}

std::vector<RowRange> supervised_ranges(const Geometry& g) {
  std::vector<RowRange> ranges;
  for (i64 position : g.supervised_positions) {
    if (!ranges.empty() && ranges.back().end == position) {
      ++ranges.back().end;
    } else {
      ranges.push_back({position, position + 1});
    }
  }
  return ranges;
}

BatchShape batch_shape(const Geometry& g) {
  BatchShape shape;
  shape.frame.samples = g.samples;
  shape.frame.images = g.images;
  shape.frame.windows = g.windows;
  shape.frame.prefixes = g.prefixes;
  shape.frame.class_rows = g.class_rows;
  shape.frame.merge = g.merge;
  shape.features = feature_runs(g);
  shape.supervised = supervised_ranges(g);
  return shape;
}

std::vector<std::vector<std::vector<i64>>> deal_samples(std::span<const i64> tokens, i64 groups, i64 limit) {
  check(groups >= 1 && limit >= 0, "samples for {} groups, {} tokens at a time", groups, limit);
  std::vector<i64> order(tokens.size());
  std::iota(order.begin(), order.end(), i64{0});
  std::stable_sort(order.begin(), order.end(), [&](i64 a, i64 b) {
    return tokens[static_cast<std::size_t>(a)] > tokens[static_cast<std::size_t>(b)];
  });
  using Load = std::pair<i64, i64>;  // tokens, group
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (i64 group = 0; group < groups; ++group) loads.emplace(0, group);
  std::vector<std::vector<i64>> members(static_cast<std::size_t>(groups));
  for (i64 sample : order) {
    const auto [load, group] = loads.top();
    loads.pop();
    members[static_cast<std::size_t>(group)].push_back(sample);
    loads.emplace(load + tokens[static_cast<std::size_t>(sample)], group);
  }
  std::vector<std::vector<std::vector<i64>>> dealt(static_cast<std::size_t>(groups));
  for (std::size_t group = 0; group < members.size(); ++group) {
    std::sort(members[group].begin(), members[group].end());
    i64 filled = 0;
    for (i64 sample : members[group]) {
      const i64 length = tokens[static_cast<std::size_t>(sample)];
      if (dealt[group].empty() || (limit > 0 && filled + length > limit)) {
        dealt[group].emplace_back();
        filled = 0;
      }
      dealt[group].back().push_back(sample);
      filled += length;
    }
  }
  return dealt;
}

}  // namespace longsight::parallel
