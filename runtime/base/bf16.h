// bfloat16: an f32 without the lower half of its bits. Stored in 16 bits, computed with as a float.
#pragma once

#include <bit>
#include <cstdint>

#include "runtime/base/host_device.h"

namespace longsight {

struct bf16 {
  bf16() = default;
  // To the nearest, ties to even; NaN stays NaN. Without branches, for loops that the compiler vectorises.
  LONGSIGHT_HD bf16(float value)
      : bits(nearest(std::bit_cast<std::uint32_t>(value))) {}  // NOLINT: implicit, as float is
  LONGSIGHT_HD operator float() const {
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
  }  // NOLINT: exact

  LONGSIGHT_HD static bf16 of_bits(std::uint16_t pattern) {
    bf16 x;
    x.bits = pattern;
    return x;
  }

  std::uint16_t bits;

 private:
  LONGSIGHT_HD static std::uint16_t nearest(std::uint32_t f32) {
    const std::uint32_t rounded = f32 + 0x7FFFU + (f32 >> 16 & 1U), quiet_nan = f32 | 0x400000U;
    return static_cast<std::uint16_t>(((f32 & 0x7FFFFFFFU) > 0x7F800000U ? quiet_nan : rounded) >> 16);
  }
};
static_assert(sizeof(bf16) == 2);

}  // namespace longsight
