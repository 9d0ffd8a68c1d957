// Stands in for CUDA where a build has none: links, and throws when it is called.
#pragma once

#include "runtime/base/error.h"

namespace longsight::ops::cuda {

[[noreturn]] inline void not_built(const char* op) {
  fail(ExitCode::internal, "{} cannot run on a GPU: this build has no CUDA (cmake --preset cuda)", op);
}

}  // namespace longsight::ops::cuda
