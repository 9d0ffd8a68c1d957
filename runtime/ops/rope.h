// Rotary position embedding (Su et al. 2021), in the half-split form of Hugging Face: channel i turns with
// channel i + D/2 by an angle that the caller gives per row, so 1-D, 2-D and multimodal RoPE are the same op.
#pragma once

#include "runtime/tensor/matrix.h"
#include "runtime/tensor/shared_list.h"

namespace longsight::ops {

// x [T, H, D] is rotated in place; cos, sin [T, D/2], of the statistics' type of x. `inverse` turns back: the
// backward of the rotation.
enum class Turn { forward, inverse };
void rope(Heads x, Tensor cos, Tensor sin, Turn, Stream);

// The angles of rows: angle(row, i) = positions[row][axis[i]] * inverse[set[row]][i].
struct RopeAngles {
  i64 rows = 0;
  i64 half = 0;                    // D/2
  i64 axes = 1;                    // numbers of a position
  SharedList<i64> positions = {};  // [rows, axes]; empty where a trace only counts
  SharedList<i64> axis = {};       // [half]
  SharedList<float> inverse = {};  // [sets, half]: inverse frequencies
  SharedList<i64> set = {};        // [rows]; empty: each row has the first
  double factor = 1;               // of cos and sin
};

// cos and sin [rows, half] (f32 or f64) are overwritten; computed in f64.
void rope_angles(Tensor cos, Tensor sin, const RopeAngles&, Stream);

}  // namespace longsight::ops
