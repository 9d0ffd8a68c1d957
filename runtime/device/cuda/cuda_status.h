// Every status of CUDA's runtime is looked at.
#pragma once

#include <source_location>

#include <cuda_runtime_api.h>

#include "runtime/base/error.h"

namespace longsight {

inline void cuda_check(cudaError_t status, const char* call,
                       std::source_location where = std::source_location::current()) {
  if (status == cudaSuccess) return;
  fail(ExitCode::internal, "{}: {}: {} ({})", place_of(where), call, cudaGetErrorString(status),
       cudaGetErrorName(status));
}

}  // namespace longsight
