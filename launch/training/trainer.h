// A training run from its checks to the final model.
#pragma once

#include "launch/config.h"
#include "launch/verb.h"

namespace longsight::launch {

// Collective over the job's ranks. What can be known to be wrong is said before weights are read and a folder
// is made; non_finite when loss or gradient stop being numbers; stopped behind a checkpoint when a signal
// asks for it. `force`: goes on from a checkpoint whose configuration, data or frozen weights are others.
ExitCode train(Job&, const LoadedConfig&, bool force = false);

}  // namespace longsight::launch
