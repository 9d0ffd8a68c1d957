// Conversion between element types, to nearest even (bf16: runtime/base/bf16.h).
#pragma once

#include <cstdint>

#include "runtime/tensor/dtype.h"

namespace longsight {

float f32_from_f16(std::uint16_t bits);
std::uint16_t f16_from_f32(float value);  // overflow becomes infinity, small values subnormal

// `count` elements; the float types convert into each other, integers only into the same type. Buffers do not
// overlap.
void convert(void* to, DType to_type, const void* from, DType from_type, i64 count);

}  // namespace longsight
