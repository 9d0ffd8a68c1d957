// What every layer works with: parameters, memory, the stack of frames, the stream. Passed down, never found.
#pragma once

#include "parallel/attention.h"
#include "runtime/tensor/parameters.h"

namespace longsight::model {

struct Workspace : parallel::AttentionWorkspace {
  ParameterRegistry& parameters;
};

}  // namespace longsight::model
