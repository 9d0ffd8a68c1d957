// cuBLASLt, opened when the first product is queued.
#pragma once

#include <cublasLt.h>

#include "runtime/base/shared_library.h"

namespace longsight::ops::cuda {

struct CublasLt {
  SharedLibrary library{"libcublasLt.so.13", "matrix products on a GPU (cuBLASLt of CUDA 13)"};
  decltype(&cublasLtCreate) create = library.function<decltype(&cublasLtCreate)>("cublasLtCreate");
  decltype(&cublasLtGetStatusString) status_string =
      library.function<decltype(&cublasLtGetStatusString)>("cublasLtGetStatusString");
  decltype(&cublasLtMatmulDescCreate) desc_create =
      library.function<decltype(&cublasLtMatmulDescCreate)>("cublasLtMatmulDescCreate");
  decltype(&cublasLtMatmulDescDestroy) desc_destroy =
      library.function<decltype(&cublasLtMatmulDescDestroy)>("cublasLtMatmulDescDestroy");
  decltype(&cublasLtMatmulDescSetAttribute) desc_set =
      library.function<decltype(&cublasLtMatmulDescSetAttribute)>("cublasLtMatmulDescSetAttribute");
  decltype(&cublasLtMatrixLayoutCreate) layout_create =
      library.function<decltype(&cublasLtMatrixLayoutCreate)>("cublasLtMatrixLayoutCreate");
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy =
      library.function<decltype(&cublasLtMatrixLayoutDestroy)>("cublasLtMatrixLayoutDestroy");
  decltype(&cublasLtMatmulPreferenceCreate) preference_create =
      library.function<decltype(&cublasLtMatmulPreferenceCreate)>("cublasLtMatmulPreferenceCreate");
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy =
      library.function<decltype(&cublasLtMatmulPreferenceDestroy)>("cublasLtMatmulPreferenceDestroy");
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set =
      library.function<decltype(&cublasLtMatmulPreferenceSetAttribute)>(
          "cublasLtMatmulPreferenceSetAttribute");
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic =
      library.function<decltype(&cublasLtMatmulAlgoGetHeuristic)>("cublasLtMatmulAlgoGetHeuristic");
  decltype(&cublasLtMatmul) matmul = library.function<decltype(&cublasLtMatmul)>("cublasLtMatmul");

  // Throws internal unless the status is success.
  void check(cublasStatus_t status, const char* call) const;
};

}  // namespace longsight::ops::cuda
