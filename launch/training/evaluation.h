// Loss on held-out samples.
#pragma once

#include "launch/step.h"

namespace longsight::launch {

struct EvalResult {
  double loss = 0;  // mean over supervised tokens
  i64 samples = 0;
  i64 supervised = 0;
};

// Collective over the world of the runner's groups.
EvalResult evaluate_loss(const std::vector<std::vector<model::Sample>>& steps, const model::Vlm&, StepRunner&,
                         i64 rank);

}  // namespace longsight::launch
