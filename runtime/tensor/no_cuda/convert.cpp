#include "runtime/tensor/cuda/convert.h"

#include "runtime/base/error.h"

namespace longsight::cuda {

void convert(Tensor, Tensor, Stream) {
  fail(ExitCode::internal, "copy cannot run on a GPU: this build has no CUDA (cmake --preset cuda)");
}

}  // namespace longsight::cuda
