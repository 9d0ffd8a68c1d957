// Private to launch.h: kernels on a GPU.
#pragma once

#include "runtime/device/cuda/cuda_status.h"

namespace longsight::lanes {

template <class Body>
__global__ void __launch_bounds__(most_threads<Body>(), least_blocks<Body>())
    run_body(const __grid_constant__ Body body) {
  CudaLane lane;
  body(lane);
}

template <class Body>
void launch(const char* kernel, Stream stream, const Grid& grid, const Body& body) {
  static_assert(std::is_trivially_copyable_v<Body>);
  check_grid(grid, most_threads<Body>(), kernel);
  if (grid.blocks == 0) return;
  if (grid.shared_bytes > 48 * 1024) {
    cuda_check(cudaFuncSetAttribute(run_body<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(grid.shared_bytes)),
               kernel);
  }
  run_body<Body>
      <<<static_cast<unsigned>(grid.blocks), static_cast<unsigned>(grid.threads),
         static_cast<std::size_t>(grid.shared_bytes), static_cast<cudaStream_t>(stream.handle)>>>(body);
  cuda_check(cudaGetLastError(), kernel);
}

}  // namespace longsight::lanes
