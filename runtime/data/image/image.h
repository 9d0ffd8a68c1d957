// A decoded picture.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

// Of any image, read or on the way: above it Pillow refuses (decompression bomb).
inline constexpr i64 kMostPixels = 178956970;

struct ImageSize {
  i64 height = 0;
  i64 width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

struct Image {
  i64 height = 0;
  i64 width = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]: red, green, blue in 0..255, rows from the top

  Image() = default;
  Image(i64 image_height, i64 image_width)
      : height(image_height),
        width(image_width),
        rgb(static_cast<std::size_t>(checked_mul(checked_mul(image_height, image_width), 3))) {}

  ImageSize size() const { return {height, width}; }
  std::uint8_t* row(i64 y) { return rgb.data() + y * width * 3; }
  const std::uint8_t* row(i64 y) const { return rgb.data() + y * width * 3; }
};

}  // namespace longsight::data
