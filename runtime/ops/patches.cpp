#include "runtime/ops/patches.h"

#include "runtime/ops/host_threads.h"

namespace longsight::ops {
namespace {

void check_index(const char* op, Matrix rows, std::span<const i64> index, i64 patches) {
  check(rows.rows == static_cast<i64>(index.size()), "{}: {} indices for {} rows", op, index.size(),
        rows.rows);
  for (i64 i : index) check(i >= 0 && i < patches, "{}: patch {} of {}", op, i, patches);
}

}  // namespace

void patch_rows(Matrix rows, Tensor pixels, i64 patch, std::span<const i64> index, Stream) {
  check(pixels.shape().rank() == 3 && pixels.extent(0) == 3, "patch_rows: pixels {}, not [3, H, W]",
        pixels.shape().text());
  check(patch > 0 && rows.cols == 3 * patch * patch, "patch_rows: rows of {} for patches of {}", rows.cols,
        patch);
  const i64 height = pixels.extent(1), width = pixels.extent(2);
  const i64 across = width / patch;
  check_index("patch_rows", rows, index, height / patch * across);
  const float* const source = pixels.as<float>();
  dispatch(rows.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = rows.as<T>();
    parallel_items(rows.rows, rows.rows * rows.cols, [&](i64 r) {
      const i64 at = index[static_cast<std::size_t>(r)];
      const i64 top = at / across * patch, left = at % across * patch;
      T* to = out + r * rows.stride;
      for (i64 channel = 0; channel < 3; ++channel) {
        for (i64 y = 0; y < patch; ++y) {
          const float* from = source + (channel * height + top + y) * width + left;
          for (i64 x = 0; x < patch; ++x) *to++ = static_cast<T>(from[x]);
        }
      }
    });
  });
}

void ready_patch_rows(Matrix rows, Tensor patches, std::span<const i64> index, Stream) {
  check(patches.shape().rank() == 2 && patches.extent(1) == rows.cols,
        "ready_patch_rows: patches {} for rows of {}", patches.shape().text(), rows.cols);
  check_index("ready_patch_rows", rows, index, patches.extent(0));
  const float* const source = patches.as<float>();
  dispatch(rows.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = rows.as<T>();
    parallel_items(rows.rows, rows.rows * rows.cols, [&](i64 r) {
      const float* from = source + index[static_cast<std::size_t>(r)] * rows.cols;
      T* to = out + r * rows.stride;
#pragma omp simd
      for (i64 c = 0; c < rows.cols; ++c) to[c] = static_cast<T>(from[c]);
    });
  });
}

}  // namespace longsight::ops
