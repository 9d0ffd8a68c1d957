// The weights of a one-dimensional antialiased resize, equal to Pillow's to the bit (libImaging/Resample.c).
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

// The values are Pillow's numbers for these filters, as in the key "resample" of preprocessor_config.json.
enum class Resample : int { lanczos = 1, bilinear = 2, bicubic = 3 };

inline constexpr int kWeightBits = 22;  // fixed point: weights times 2^22

// Output i is the sum over t < count[i] of weights[i * stride + t] * input[first[i] + t], plus one half,
// >> 22.
struct ResampleTaps {
  i64 stride = 0;
  std::vector<i64> first;             // [out]
  std::vector<int> count;             // [out]
  std::vector<std::int32_t> weights;  // [out, stride], zero behind count
};

ResampleTaps resample_taps(i64 in, i64 out, Resample filter);

}  // namespace longsight::data
