// A micro-batch with its lists of tokens as runs, and how samples are dealt into micro-batches.
#pragma once

#include <span>
#include <vector>

#include "parallel/layout/geometry.h"

namespace longsight::parallel {

// Visual tokens first_position + i, made of the merge blocks at rows first_row + i * row_step, for i < count.
struct FeatureRun {
  i64 first_row = 0;
  i64 row_step = 1;
  i64 first_position = 0;
  i64 count = 0;
};

// A Geometry with its per-token lists as runs, so that costs take time in samples and ranks, not in tokens.
struct BatchShape {
  Geometry frame;  // samples, images, windows, prefixes, class_rows, merge; no lists of tokens
  std::vector<FeatureRun> features;
  std::vector<RowRange> supervised;  // ascending language rows with a target

  i64 feature_count() const;
  i64 supervised_count() const;
};

std::vector<FeatureRun> feature_runs(const Geometry& geometry);
std::vector<RowRange> supervised_ranges(const Geometry& geometry);
BatchShape batch_shape(const Geometry& geometry);

// How a step's samples are dealt: indices by data group and micro-batch. The longest sample goes to the group
// with the fewest tokens so far; a group keeps its samples in their order and packs them end to end into
// micro-batches of at most `limit` tokens (0: one micro-batch); a longer sample is a micro-batch of its own.
// Groups may stay empty. Deterministic.
std::vector<std::vector<std::vector<i64>>> deal_samples(std::span<const i64> tokens, i64 groups, i64 limit);

}  // namespace longsight::parallel
