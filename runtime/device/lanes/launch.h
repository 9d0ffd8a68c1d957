// Queues kernels on a stream of CUDA, and memory that they need for a moment. What nvcc compiles runs on the
// GPU; the same files compiled by the host's compiler, for tests, run in the emulator.
#pragma once

#include <algorithm>
#include <span>

#include "runtime/device/lanes/lane.h"
#include "runtime/device/lanes/stream_memory.h"
#include "runtime/device/stream.h"

namespace longsight::lanes {

struct Grid {
  i64 blocks = 0;   // of none, nothing is queued
  int threads = 0;  // of a block, a multiple of 32
  i64 shared_bytes = 0;
};

// Most threads of a block, which decides how many registers each has.
template <class Body>
constexpr int most_threads() {
  if constexpr (requires { Body::kMostThreads; }) {
    return Body::kMostThreads;
  } else {
    return 512;
  }
}

// Blocks that a processor of the GPU shall have at once, at least; 0: nvcc weighs it, and may keep a little
// in memory to have more of them. A body says 1 where its shared memory leaves no room for more.
template <class Body>
constexpr int least_blocks() {
  if constexpr (requires { Body::kLeastBlocks; }) {
    return Body::kLeastBlocks;
  } else {
    return 0;
  }
}

inline void check_grid(const Grid& grid, int most_threads, const char* kernel) {
  check(grid.blocks >= 0 && grid.blocks < (i64{1} << 31) && grid.threads > 0 && grid.threads % kWarp == 0 &&
            grid.threads <= most_threads && grid.shared_bytes >= 0,
        "kernel {}: {} blocks of {} threads (at most {}) with {} bytes", kernel, grid.blocks, grid.threads,
        most_threads, grid.shared_bytes);
}

// Threads enough for so many items in blocks of `threads`, and no more blocks than keep the largest GPU busy:
// bodies go on in steps of the grid. How many there are changes no result.
inline constexpr int kItemThreads = 256;
inline Grid grid_of_items(i64 items, int threads = kItemThreads) {
  return {.blocks = std::min<i64>(ceil_div(items, threads), 8192), .threads = threads};
}

// A team of threads for each row: a warp up to 4 packs for each of its threads, otherwise a block.
struct RowGrid {
  RowGrid(i64 rows, i64 packs)
      : team(packs <= 4 * kWarp ? kWarp
             : packs <= 1024    ? 128
             : packs <= 4096    ? 256
                                : 512) {
    const int rows_of_block = team == kWarp ? 4 : 1;
    grid = {.blocks = ceil_div(rows, rows_of_block), .threads = team * rows_of_block, .shared_bytes = 512};
  }
  int team;
  Grid grid;
};

}  // namespace longsight::lanes

#if defined(__CUDACC__)
#include "runtime/device/lanes/cuda/cuda_launch.h"
#else
#include "runtime/device/lanes/emulated/emulated_launch.h"
#endif
