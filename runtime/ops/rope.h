// Rotary position embedding (Su et al. 2021), in the half-split form of Hugging Face: channel i turns with
// channel i + D/2 by an angle that the caller gives per row, so 1-D, 2-D and multimodal RoPE are the same op.
#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// x [T, H, D] is rotated in place; cos, sin [T, D/2]. `inverse` turns back: the backward of the rotation.
enum class Turn { forward, inverse };
void rope(Heads x, Tensor cos, Tensor sin, Turn, Stream);

}  // namespace longsight::ops
