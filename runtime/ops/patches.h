// Patch rows of an image: the patch embedding is then one `linear` with the convolution's weight [D, 3, P,
// P].
#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// rows [n, 3 P P] = patches first .. first + n of pixels [3, H, W] (f32) in raster order, each in (channel,
// y, x) order. H and W are multiples of P. rows may be f32 or f64.
void patch_rows(Matrix rows, Tensor pixels, i64 patch, i64 first, Stream);

}  // namespace longsight::ops
