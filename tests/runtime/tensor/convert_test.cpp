#include "runtime/tensor/convert.h"

#include <bit>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;

namespace {

// Of a format with `fraction` fraction bits and 15 - fraction exponent bits, by its definition.
double decoded(std::uint16_t bits, int fraction) {
  const int exponent_bits = 15 - fraction, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> fraction & ((1 << exponent_bits) - 1), digits = bits & ((1 << fraction) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return digits ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(digits, 1 - bias - fraction);
  return sign * std::ldexp(digits + (1 << fraction), exponent - bias - fraction);
}

}  // namespace

TEST_CASE("all 65,536 bf16 and f16 values are exact in f32 and come back") {
  int wrong = 0;
  for (int i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const double b = decoded(bits, 7), h = decoded(bits, 10);
    if (std::isnan(b)) {
      wrong += !std::isnan(float(bf16::of_bits(bits))) + !std::isnan(float(bf16(float(bf16::of_bits(bits)))));
    } else {
      wrong += float(bf16::of_bits(bits)) != b || bf16(float(bf16::of_bits(bits))).bits != bits;
    }
    if (std::isnan(h)) {
      wrong += !std::isnan(f32_from_f16(bits)) + !std::isnan(f32_from_f16(f16_from_f32(f32_from_f16(bits))));
    } else {
      wrong += f32_from_f16(bits) != h || f16_from_f32(f32_from_f16(bits)) != bits;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("between two neighbours the nearer one is taken, and the even one in the middle") {
  int wrong = 0;
  for (int i = 0; i < 0x7F7F; ++i) {  // every finite bf16 and its neighbour above
    const auto low = static_cast<std::uint16_t>(i), high = static_cast<std::uint16_t>(i + 1);
    const float middle = std::bit_cast<float>(std::uint32_t{low} << 16 | 0x8000);
    wrong += bf16(middle).bits != (low % 2 == 0 ? low : high);
    wrong += bf16(std::nextafter(middle, 0.0F)).bits != low;
    wrong += bf16(std::nextafter(middle, std::numeric_limits<float>::infinity())).bits != high;
    wrong += bf16(-middle).bits != ((low % 2 == 0 ? low : high) | 0x8000);
  }
  for (int i = 0; i < 0x7BFF; ++i) {  // every finite f16 and its neighbour above
    const auto low = static_cast<std::uint16_t>(i), high = static_cast<std::uint16_t>(i + 1);
    const auto middle = static_cast<float>((decoded(low, 10) + decoded(high, 10)) / 2);  // exact: 12 bits
    wrong += f16_from_f32(middle) != (low % 2 == 0 ? low : high);
    wrong += f16_from_f32(std::nextafter(middle, 0.0F)) != low;
    wrong += f16_from_f32(std::nextafter(middle, std::numeric_limits<float>::infinity())) != high;
  }
  CHECK(wrong == 0);
  CHECK(f16_from_f32(65520) == 0x7C00);  // half way to the next power: infinity
  CHECK(f16_from_f32(65519) == 0x7BFF);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7F80);
}

TEST_CASE("integers convert only into themselves") {
  const std::int64_t from[2] = {1, -1};
  std::int64_t to[2] = {};
  convert(to, DType::I64, from, DType::I64, 2);
  CHECK(to[1] == -1);
  float values[2] = {};
  CHECK(failure_of([&] { convert(values, DType::F32, from, DType::I64, 2); }).code == ExitCode::internal);
  CHECK(failure_of([&] { convert(to, DType::I64, values, DType::F32, 2); }).code == ExitCode::internal);
}
