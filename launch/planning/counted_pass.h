// The inputs of a pass, from lengths alone, on the ranks of a sequence group that tell its cost.
#pragma once

#include <map>
#include <set>

#include "model/inputs/pass_inputs.h"

namespace longsight::planning {

// Serves all plans that differ in nothing but what is computed again and how parameters are dealt. Borrows
// the model and the batch.
class CountedPass {
 public:
  CountedPass(const model::Vlm&, const parallel::BatchShape&, const parallel::Plan&);

  // Ranks that have most of something: rows of a stream, pairs that attention looks at, visual tokens,
  // targets.
  const std::set<i64>& fullest_ranks() const { return fullest_; }
  model::PassInputs& inputs(i64 rank, parallel::Recompute);
  // Of an exchange of the group; those of equal counts are counted once.
  parallel::Wire wire(const parallel::ScheduleEntry&, i64 node);

 private:
  struct KnownWire {
    parallel::Counts counts;  // lives as long as it is known by its address
    parallel::Wire wire;
  };

  const model::Vlm& model_;
  const parallel::BatchShape& batch_;
  std::map<i64, model::PassInputs> inputs_;
  std::set<i64> fullest_;
  std::map<std::pair<std::pair<const void*, i64>, DType>, KnownWire> wires_;
};

}  // namespace longsight::planning
