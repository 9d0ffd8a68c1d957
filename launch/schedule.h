// The learning rate of a step.
#pragma once

#include "launch/config.h"

namespace longsight::launch {

// step counts from 1 to `steps`. Linear warm-up to lr over `warmup` steps, then constant, or falling to
// min_lr at the last step along half a cosine wave or a line.
double learning_rate(const OptimizerSection&, i64 step, i64 steps);

}  // namespace longsight::launch
