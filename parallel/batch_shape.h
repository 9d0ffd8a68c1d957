// A micro-batch as the cost model sees it, and the typical step that a plan is made for.
#pragma once

#include <span>
#include <vector>

#include "parallel/geometry.h"
#include "parallel/model_shape.h"

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

// One sample of the data, as far as costs depend on it.
struct SampleStatistics {
  i64 tokens = 0;  // visual ones included
  i64 images = 0;  // sequences of the vision tower: tiles, temporal patches of videos
  i64 supervised = 0;
  i64 patches = 0;  // of all of these together; 0: each has the model's typical number
};

// The samples of a typical optimizer step.
struct BatchStatistics {
  std::vector<SampleStatistics> samples;  // empty: nothing is known about lengths
  i64 tokens_per_step = 0;                // where nothing is known: one sample of so many tokens is assumed
  i64 micro_batch_tokens = 0;  // upper bound of a micro-batch; 0: each data group packs its samples into one

  bool known() const { return !samples.empty(); }
};

// Samples of equal length, `tokens` in all.
BatchStatistics equal_samples(i64 tokens, i64 tokens_per_sample, i64 images_per_sample,
                              i64 supervised_per_sample);

// How a step's samples are dealt: indices by data group and micro-batch. The longest sample goes to the group
// with the fewest tokens so far; a group keeps its samples in their order and packs them end to end into
// micro-batches of at most `limit` tokens (0: one micro-batch); a longer sample is a micro-batch of its own.
// Groups may stay empty. Deterministic.
std::vector<std::vector<std::vector<i64>>> deal_samples(std::span<const i64> tokens, i64 groups, i64 limit);

// Samples packed end to end: visual tokens first, targets last. A sample with fewer tokens than its images
// need throws bad_data.
BatchShape pack_statistics(std::span<const SampleStatistics> samples, const ModelShape& model);

}  // namespace longsight::parallel
