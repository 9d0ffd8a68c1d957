// What a program built with CUDA opens by name when it computes on a GPU: the libraries are there, and have
// every function that is called. Needs no driver.
#include <cstdio>

#include "parallel/groups/cuda/nccl_library.h"
#include "runtime/base/error.h"
#include "runtime/ops/cuda/libraries/cublaslt.h"

int main() {
  using namespace longsight;
  try {
    const ops::cuda::CublasLt cublaslt;
    std::printf("cuBLASLt of CUDA %d: %s\n", CUBLAS_VER_MAJOR, cublaslt.status_string(CUBLAS_STATUS_SUCCESS));
    int version = 0;
    require(parallel::nccl().get_version(&version) == ncclSuccess, ExitCode::internal,
            "ncclGetVersion failed");
    std::printf("NCCL %d, headers of %d\n", version, NCCL_VERSION_CODE);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
