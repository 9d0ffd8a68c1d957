#include "runtime/device/cuda_device.h"

namespace longsight {

CudaFacts cuda_facts() {
  return {.missing =
              "this program was built without CUDA: build it with cmake --preset cuda (scripts/setup.sh "
              "--with-cuda brings what that needs)"};
}

std::unique_ptr<Device> make_cuda_device(int) {
  fail(ExitCode::usage, "no GPU can be used: {}", cuda_facts().missing);
}

}  // namespace longsight
