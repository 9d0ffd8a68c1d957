// A training run from its checks to the final model.
#pragma once

#include "launch/config.h"
#include "launch/verb.h"

namespace longsight::launch {

// Collective over the job's ranks. What can be known to be wrong is said before weights are read and a folder
// is made; non_finite when loss or gradient stop being numbers.
ExitCode train(Job&, const LoadedConfig&);

}  // namespace longsight::launch
