// What every layer works with: that of parallel/workspace.h, and the parameters.
#pragma once

#include "parallel/workspace.h"
#include "runtime/tensor/parameters.h"

namespace longsight::model {

struct Workspace : parallel::Workspace {
  ParameterRegistry& parameters;
};

}  // namespace longsight::model
