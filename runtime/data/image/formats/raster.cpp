#include "runtime/data/image/formats/raster.h"

#include <algorithm>

namespace longsight::data {
namespace {

using Kind = Raster::Kind;

// Pillow's alpha_composite of one value on opaque white, in its fixed point numbers.
std::uint8_t on_white(unsigned value, unsigned alpha) {
  constexpr int bits = 7;
  const unsigned outcome = alpha * 255 + 255 * (255 - alpha);
  const unsigned weight = alpha * 255 * 255 * (1U << bits) / outcome;
  const unsigned sum = value * weight + 255 * (255 * (1U << bits) - weight) + (0x80U << bits);
  return static_cast<std::uint8_t>((((sum >> 8) + sum) >> 8) >> bits);
}

// R = K' - C * K' / 255 with K' = 255 - K, rounded as in Pillow.
std::uint8_t without_ink(int ink, int key) {
  const int t = ink * key + 128;
  return static_cast<std::uint8_t>(std::clamp(key - (((t >> 8) + t) >> 8), 0, 255));
}

// The colour and the opacity of a pixel, by the kind of its picture.
template <Kind kind>
Raster::Color color_of(const Raster& raster, const std::uint8_t* p) {
  if constexpr (kind == Kind::gray) return {p[0], p[0], p[0], 255};
  if constexpr (kind == Kind::gray_alpha) return {p[0], p[0], p[0], p[1]};
  if constexpr (kind == Kind::palette) return raster.palette[p[0]];
  if constexpr (kind == Kind::palette_alpha) {
    Raster::Color color = raster.palette[p[0]];
    color[3] = p[1];
    return color;
  }
  if constexpr (kind == Kind::rgb) return {p[0], p[1], p[2], 255};
  if constexpr (kind == Kind::rgba) return {p[0], p[1], p[2], p[3]};
  if constexpr (kind == Kind::cmyk) {
    const int key = 255 - p[3];
    return {without_ink(p[0], key), without_ink(p[1], key), without_ink(p[2], key), 255};
  }
}

template <Kind kind>
void convert(const Raster& raster, Alpha alpha, bool& dropped, Image& image) {
  const auto channels = static_cast<std::size_t>(Raster::channels_of(kind));
  const std::uint8_t* from = raster.samples.data();
  std::uint8_t* to = image.rgb.data();
  for (std::uint8_t* const end = to + image.rgb.size(); to != end; from += channels, to += 3) {
    Raster::Color color = color_of<kind>(raster, from);
    if constexpr (kind == Kind::gray || kind == Kind::rgb) {
      if (raster.clear && std::equal(color.begin(), color.begin() + 3, raster.clear->begin())) color[3] = 0;
    }
    if (color[3] != 255) {
      if (alpha == Alpha::drop) dropped = true;
      if (alpha == Alpha::white)
        for (std::size_t c = 0; c < 3; ++c) color[c] = on_white(color[c], color[3]);
    }
    std::copy_n(color.begin(), 3, to);
  }
}

}  // namespace

i64 Raster::channels_of(Kind kind) {
  switch (kind) {
    case Kind::gray:
    case Kind::palette:
      return 1;
    case Kind::gray_alpha:
    case Kind::palette_alpha:
      return 2;
    case Kind::rgb:
      return 3;
    case Kind::rgba:
    case Kind::cmyk:
      return 4;
  }
  return 0;
}

Raster::Raster(Kind raster_kind, ImageSize raster_size) : kind(raster_kind), size(raster_size) {
  samples.resize(
      static_cast<std::size_t>(checked_mul(checked_mul(size.height, size.width), channels_of(kind))));
  palette.fill({0, 0, 0, 255});
}

void set_palette(Raster& raster, std::span<const std::uint8_t> entries, std::size_t stride, bool backwards,
                 std::string_view name) {
  const std::size_t count = entries.size() / stride;
  require(count <= raster.palette.size(), ExitCode::bad_data, "{}: a palette of {} colours, more than 256",
          name, count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* e = entries.data() + i * stride;
    raster.palette[i] = {e[backwards ? 2 : 0], e[1], e[backwards ? 0 : 2], 255};
  }
}

void unpremultiply(std::span<std::uint8_t> rgba) {
  for (std::size_t i = 0; i + 4 <= rgba.size(); i += 4) {
    const int alpha = rgba[i + 3];
    if (alpha == 255) continue;
    for (std::size_t c = 0; c < 3; ++c) {
      rgba[i + c] = static_cast<std::uint8_t>(alpha == 0 ? 0 : std::min(rgba[i + c] * 255 / alpha, 255));
    }
  }
}

Image to_rgb(Raster raster, Alpha alpha, bool& dropped) {
  Image image;
  if (raster.kind == Kind::rgb && !raster.clear) {
    image.height = raster.size.height;
    image.width = raster.size.width;
    image.rgb = std::move(raster.samples);
    return image;
  }
  image = Image(raster.size.height, raster.size.width);
  switch (raster.kind) {
    case Kind::gray:
      convert<Kind::gray>(raster, alpha, dropped, image);
      break;
    case Kind::gray_alpha:
      convert<Kind::gray_alpha>(raster, alpha, dropped, image);
      break;
    case Kind::palette:
      convert<Kind::palette>(raster, alpha, dropped, image);
      break;
    case Kind::palette_alpha:
      convert<Kind::palette_alpha>(raster, alpha, dropped, image);
      break;
    case Kind::rgb:
      convert<Kind::rgb>(raster, alpha, dropped, image);
      break;
    case Kind::rgba:
      convert<Kind::rgba>(raster, alpha, dropped, image);
      break;
    case Kind::cmyk:
      convert<Kind::cmyk>(raster, alpha, dropped, image);
      break;
  }
  return image;
}

}  // namespace longsight::data
