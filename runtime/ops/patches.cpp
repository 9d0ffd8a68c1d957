#include "runtime/ops/patches.h"

#include "runtime/ops/host_threads.h"

namespace longsight::ops {

void patch_rows(Matrix rows, Tensor pixels, i64 patch, i64 first, Stream) {
  check(pixels.shape().rank() == 3 && pixels.extent(0) == 3, "patch_rows: pixels {}, not [3, H, W]",
        pixels.shape().text());
  check(patch > 0 && rows.cols == 3 * patch * patch, "patch_rows: rows of {} for patches of {}", rows.cols,
        patch);
  const i64 height = pixels.extent(1), width = pixels.extent(2);
  const i64 across = exact_div(width, patch), patches = exact_div(height, patch) * across;
  check(first >= 0 && rows.rows >= 0 && first + rows.rows <= patches, "patch_rows: patches {} to {} of {}",
        first, first + rows.rows, patches);
  const float* const source = pixels.as<float>();
  dispatch(rows.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = rows.as<T>();
    parallel_items(rows.rows, rows.rows * rows.cols, [&](i64 r) {
      const i64 top = (first + r) / across * patch, left = (first + r) % across * patch;
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

}  // namespace longsight::ops
