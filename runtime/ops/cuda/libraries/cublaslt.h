// cuBLASLt, opened when the first product is queued.
#pragma once

#include <cublasLt.h>

#include "runtime/base/shared_library.h"

namespace longsight::ops::cuda {

struct CublasLt {
  SharedLibrary library{"libcublasLt.so.13", "matrix products on a GPU (cuBLASLt of CUDA 13)"};
  decltype(&cublasLtCreate) create = library["cublasLtCreate"];
  decltype(&cublasLtGetStatusString) status_string = library["cublasLtGetStatusString"];
  decltype(&cublasLtMatmulDescCreate) desc_create = library["cublasLtMatmulDescCreate"];
  decltype(&cublasLtMatmulDescDestroy) desc_destroy = library["cublasLtMatmulDescDestroy"];
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = library["cublasLtMatmulDescSetAttribute"];
  decltype(&cublasLtMatrixLayoutCreate) layout_create = library["cublasLtMatrixLayoutCreate"];
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = library["cublasLtMatrixLayoutDestroy"];
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = library["cublasLtMatmulPreferenceCreate"];
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = library["cublasLtMatmulPreferenceDestroy"];
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set =
      library["cublasLtMatmulPreferenceSetAttribute"];
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = library["cublasLtMatmulAlgoGetHeuristic"];
  decltype(&cublasLtMatmul) matmul = library["cublasLtMatmul"];

  // Throws internal unless the status is success.
  void check(cublasStatus_t status, const char* call) const;
};

}  // namespace longsight::ops::cuda
