// Measures what the planner counts with, on the ranks at hand: longsight bench --calibrate.
#pragma once

#include "launch/planning/hardware_profile.h"
#include "launch/verb.h"

namespace longsight::launch {

// Collective over the world; all ranks measure at once, as they compute at once, and the slowest of them
// counts. Takes some ten seconds. On one rank there is no link; `network` is measured where ranks lie on
// several nodes. usage where nodes have different numbers of ranks, or ranks that are not neighbours.
planning::HardwareProfile calibrate(Job&);

}  // namespace longsight::launch
