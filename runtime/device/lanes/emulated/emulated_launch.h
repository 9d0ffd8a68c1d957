// Private to launch.h: kernels in the emulator, run to their end before the launch returns.
#pragma once

#include "runtime/device/lanes/emulated/emulator.h"

namespace longsight::lanes {

template <class Body>
void launch(const char* kernel, Stream, const Grid& grid, const Body& body) {
  static_assert(std::is_trivially_copyable_v<Body>);
  check_grid(grid, most_threads<Body>(), kernel);
  emulated::run_grid(kernel, grid.blocks, grid.threads, grid.shared_bytes,
                     [&body](emulated::Lane& lane) { body(lane); });
}

}  // namespace longsight::lanes
