// From a configuration to a plan: what a run, an audit and `longsight plan` have in common.
#pragma once

#include "launch/config.h"
#include "launch/planning/planner.h"
#include "launch/verb.h"
#include "model/vlm.h"

namespace longsight::launch {

// The strategies and the degree that the configuration asks for. Wrong names are usage errors with their
// place. memory.budget: auto is no budget here.
planning::PlanOptions plan_options(const LoadedConfig&);

// parallel.hardware, or what is assumed.
planning::HardwareProfile hardware_of(const LoadedConfig&);

// What memory.budget: auto stands for.
struct AutoBudget {
  i64 bytes = 0;  // of a rank; 0: no limit
  std::string source = {};
};
// Collective: this run's ranks, on the nodes that they are on.
AutoBudget budget_of_nodes(const Job&);
// A tenth less than a device of the profile has, if it says so.
AutoBudget budget_of_hardware(const planning::HardwareProfile&);

// That the configuration's parallel section fits this model (weights are not needed) and number of ranks:
// usage, with the place, for a degree that does not divide, a rule without a block, a wrong strategy, a wrong
// hardware profile.
void check_parallel(const LoadedConfig&, const model::Vlm&, i64 ranks);

// Lengths of samples, as far as plans depend on them.
std::vector<planning::SampleStatistics> statistics_of(std::span<const model::Sample>);

// Includes check_parallel. `samples` are those of a typical step; one at least. The model's parameters are
// allocated, as they are trained; a trace is enough. The model is borrowed.
planning::PlanRequest plan_request(const LoadedConfig&, model::Vlm&, i64 ranks,
                                   std::vector<planning::SampleStatistics> samples, const AutoBudget& = {});
planning::PlanResult plan_run(const LoadedConfig&, model::Vlm&, i64 ranks,
                              std::span<const model::Sample> samples, const AutoBudget& = {});

// Collective: usage where the ranks have made different plans, as from other hardware profiles.
void require_same_plan(const parallel::Plan&, parallel::ProcessGroup& world);

}  // namespace longsight::launch
