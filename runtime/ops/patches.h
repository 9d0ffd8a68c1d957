// Patch rows of an image: the patch embedding is then one `linear` with the convolution's weight [D, 3, P,
// P].
#pragma once

#include "runtime/tensor/index_list.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// rows [n, 3 P P] = those patches of pixels [3, H, W] (f32) that `index` [n] names in raster order, each in
// (channel, y, x) order. A rest of H and W behind the last whole patch is not seen. rows may be f32, f64 or
// bf16.
void patch_rows(Matrix rows, Tensor pixels, i64 patch, const IndexList& index, Stream);

// The same where patches come ready: rows [n, K] = patches [N, K] (f32) at `index`.
void ready_patch_rows(Matrix rows, Tensor patches, const IndexList& index, Stream);

}  // namespace longsight::ops
