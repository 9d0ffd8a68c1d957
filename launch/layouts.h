// Every layout that a model may have on so many ranks: for audits and benchmarks.
#pragma once

#include "model/vlm.h"
#include "parallel/plan.h"

namespace longsight::launch {

// Each sequence degree that divides the world x vision strategy x language strategy x exchange; one for
// degree 1. Of each degree also one with each ZeRO stage. Recompute and micro-batches are those of `own`; its
// rules hold in none of them.
std::vector<parallel::Plan> all_layouts(const parallel::Plan& own, const model::Vlm&);

}  // namespace longsight::launch
