#include "runtime/ops/host/patches.h"

#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
void patch_rows(Matrix rows, Tensor pixels, i64 patch, std::span<const i64> index) {
  const i64 height = pixels.extent(1), width = pixels.extent(2);
  const i64 across = width / patch;
  const float* const source = pixels.host<float>();
  dispatch(rows.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = rows.host<T>();
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

void ready_patch_rows(Matrix rows, Tensor patches, std::span<const i64> index) {
  const float* const source = patches.host<float>();
  dispatch(rows.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = rows.host<T>();
    parallel_items(rows.rows, rows.rows * rows.cols, [&](i64 r) {
      const float* from = source + index[static_cast<std::size_t>(r)] * rows.cols;
      T* to = out + r * rows.stride;
#pragma omp simd
      for (i64 c = 0; c < rows.cols; ++c) to[c] = static_cast<T>(from[c]);
    });
  });
}

}  // namespace longsight::ops::host
