// From a configuration to a plan: what a run, an audit and `longsight plan` have in common.
#pragma once

#include "launch/config.h"
#include "model/vlm.h"
#include "parallel/planner.h"

namespace longsight::launch {

// The strategies and the degree that the configuration asks for. Wrong names are usage errors with their
// place.
parallel::PlanOptions plan_options(const LoadedConfig&);

// That the configuration's parallel section fits this model (weights are not needed) and number of ranks:
// usage, with the place, for a degree that does not divide, a rule without a block, a wrong strategy.
void check_parallel(const LoadedConfig&, const model::Vlm&, i64 ranks);

// Includes check_parallel. `samples` are those of a typical step; may be empty.
parallel::PlanResult plan_run(const LoadedConfig&, const model::Vlm&, i64 ranks,
                              std::span<const model::Sample> samples, DType,
                              const parallel::HardwareProfile& = {});

}  // namespace longsight::launch
