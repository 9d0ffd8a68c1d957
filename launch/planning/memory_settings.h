// What a plan may do to need less memory, each with its price in time. Another lever is one more member here,
// and one more loop where they are listed.
#pragma once

#include <string>
#include <vector>

#include "launch/planning/planner.h"

namespace longsight::planning {

struct MemorySetting {
  i64 micro_batch_tokens = 0;  // as the plan's
  Recompute recompute = Recompute::none;
  int zero = 0;

  bool operator==(const MemorySetting&) const = default;
  void apply(Plan& plan) const;
  std::string text() const;  // "mlp with micro-batches of 4096 and zero 2"
};
MemorySetting setting_of(const Plan&);

// What the configuration leaves open, each level as the one before it with more of the next lever:
//   limits of micro-batches: one per data group first, then of half as many tokens each, down to every sample
//   by itself;
//   of each the stages of ZeRO;
//   of each of these the levels of recompute, that which keeps most first: the first that fits is the
//   fastest.
using Levels = std::vector<MemorySetting>;
using Stages = std::vector<Levels>;
std::vector<Stages> memory_settings(const PlanRequest&, const Mesh&);
inline const MemorySetting& leanest(const Stages& stages) {
  return stages.back().back();
}

}  // namespace longsight::planning
