// A picture as its file holds it, before it becomes RGB: what the decoders of the formats give. Internal to
// this folder.
#pragma once

#include <array>
#include <optional>

#include "runtime/data/image/formats/image_decode.h"

namespace longsight::data {

struct Raster {
  enum class Kind { gray, gray_alpha, palette, palette_alpha, rgb, rgba, cmyk };
  using Color = std::array<std::uint8_t, 4>;  // red, green, blue, opacity

  Kind kind = Kind::gray;
  ImageSize size;
  std::vector<std::uint8_t> samples;  // [height, width, channels of the kind], rows from the top
  std::array<Color, 256> palette;     // opaque black where the file says nothing else
  // The colour that is transparent in a picture of kind gray or rgb.
  std::optional<std::array<std::uint8_t, 3>> clear{};

  Raster(Kind raster_kind, ImageSize raster_size);  // all zero
  i64 channels() const { return channels_of(kind); }
  std::uint8_t* row(i64 y) { return samples.data() + y * size.width * channels(); }
  static i64 channels_of(Kind kind);
};

// Entries of three bytes, or of `stride`, in the order red, green, blue or backwards. bad_data for more than
// 256.
void set_palette(Raster& raster, std::span<const std::uint8_t> entries, std::size_t stride, bool backwards,
                 std::string_view name);

// Colours stored with their opacity multiplied into them, divided by it again: in place, [n, 4].
void unpremultiply(std::span<std::uint8_t> rgba);

// As Pillow's convert("RGB"), or composed with white. `dropped` says whether something transparent became
// opaque.
Image to_rgb(Raster raster, Alpha alpha, bool& dropped);

}  // namespace longsight::data
