// What the passes of a request cost: steps, settings and candidates have most of them in common, and each is
// traced once.
#pragma once

#include <deque>
#include <map>
#include <tuple>

#include "launch/planning/planner.h"

namespace longsight::planning {

// Samples packed end to end: visual tokens first, targets last. A sample with fewer tokens than its images
// need throws bad_data.
parallel::BatchShape pack_statistics(std::span<const SampleStatistics> samples, const TileFacts&);

class KnownPasses {
 public:
  // `request` is borrowed.
  explicit KnownPasses(const PlanRequest& request);

  // A micro-batch of these samples, by its number.
  std::size_t number_of(const std::vector<SampleStatistics>& samples);
  const parallel::BatchShape& shape(std::size_t micro_batch) const { return shapes_[micro_batch]; }

  // On each group of plan.mesh. `images_elsewhere`: as in PassInputs.
  const PassPrediction& predict(std::size_t micro_batch, const Plan&, bool images_elsewhere);
  // On all ranks together, without what is computed again: the same for every plan.
  double useful_flops(std::size_t micro_batch);

 private:
  // All that the inputs of a pass depend on, and all that the pass does.
  using InputsKey = std::tuple<std::size_t, i64, std::vector<AttentionKind>, std::vector<AttentionKind>,
                               FusionKind, parallel::Split, i64>;
  using Key = std::tuple<const CountedPass*, Recompute, int, bool>;

  const PlanRequest& request_;
  TileFacts tile_;
  PassPredictor predictor_;
  std::map<std::vector<SampleStatistics>, std::size_t> numbers_;
  std::deque<parallel::BatchShape> shapes_;  // they stay where they are
  std::map<InputsKey, CountedPass> inputs_;
  std::map<Key, PassPrediction> passes_;
  std::map<std::size_t, double> flops_;
};

}  // namespace longsight::planning
