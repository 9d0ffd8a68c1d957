// Statuses of CUDA's runtime as errors: every call is looked at.
#pragma once

#include <cuda_runtime_api.h>

namespace longsight {

// Throws internal, naming what was called, unless the status is success.
void cuda_check(cudaError_t status, const char* call);

}  // namespace longsight
