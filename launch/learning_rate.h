// The learning rate of a step.
#pragma once

#include "launch/config.h"

namespace longsight::launch {

// step counts from 1 to `steps`. Over the first `warmup` steps it rises along a line to lr; from the next
// step on it is lr (constant), or begins at lr and falls along half a cosine wave or a line that reaches
// min_lr after the last step: no step of a run is trained at a rate of 0, unless lr is.
double learning_rate(const OptimizerSection&, i64 step, i64 steps);

// usage, with both numbers, for a warm-up that does not end within the run.
void check_warmup(const LoadedConfig&, i64 steps);

}  // namespace longsight::launch
