#include "runtime/device/lanes/cuda/cuda_status.h"

#include "runtime/base/error.h"

namespace longsight {

void cuda_check(cudaError_t status, const char* call) {
  require(status == cudaSuccess, ExitCode::internal, "{} failed: {} ({})", call, cudaGetErrorString(status),
          cudaGetErrorName(status));
}

}  // namespace longsight
