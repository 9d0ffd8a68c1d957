// From a configuration to a plan: what a run, an audit and `longsight plan` have in common.
#pragma once

#include "launch/config.h"
#include "launch/planning/planner.h"
#include "model/vlm.h"

namespace longsight::launch {

// The strategies and the degree that the configuration asks for. Wrong names are usage errors with their
// place.
planning::PlanOptions plan_options(const LoadedConfig&);

// That the configuration's parallel section fits this model (weights are not needed) and number of ranks:
// usage, with the place, for a degree that does not divide, a rule without a block, a wrong strategy.
void check_parallel(const LoadedConfig&, const model::Vlm&, i64 ranks);

// Includes check_parallel. `samples` are those of a typical step; may be empty. The model's parameters are
// allocated, as they are trained; a trace is enough.
planning::PlanResult plan_run(const LoadedConfig&, model::Vlm&, i64 ranks,
                              std::span<const model::Sample> samples, const planning::HardwareProfile& = {});

}  // namespace longsight::launch
