// BMP with the headers of OS/2 1, Windows 3 to 5, as Pillow reads it: 1, 4, 8, 16, 24 and 32 bits, bit fields
// of the usual orders, run lengths of 4 and 8 bits, rows from below or from above. No library has one.
#include <algorithm>
#include <array>
#include <optional>

#include "runtime/data/image/formats/image_codec.h"

namespace longsight::data {
namespace {

enum class Packing : u64 { raw = 0, runs8 = 1, runs4 = 2, fields = 3 };

// How the bytes of a row become pixels.
enum class Form { bits1, indices1, indices4, indices8, gray8, rgb555, rgb565, bytes };

struct Bitmap {
  ImageSize size;
  bool from_above = false;
  int bits = 0;
  Packing packing = Packing::raw;
  Form form = Form::bytes;
  Raster::Kind kind = Raster::Kind::rgb;
  std::array<int, 4> order{2, 1, 0, 3};  // of `bytes`: where red, green, blue and opacity stand in a pixel
  std::vector<std::uint8_t> palette;     // blue, green, red and, of four bytes, one that does not count
  std::size_t palette_stride = 4;
  u64 pixels_at = 0;
};

using Masks = std::array<u64, 4>;  // red, green, blue, opacity

void set_fields(const EncodedImage& encoded, const Masks& m, Bitmap& bitmap) {
  struct Known {
    int bits;
    Masks masks;
    Form form;
    std::array<int, 4> order;
    bool alpha;
  };
  static constexpr Known known[] = {
      {32, {0xFF0000, 0xFF00, 0xFF, 0}, Form::bytes, {2, 1, 0, 3}, false},
      {32, {0xFF000000, 0xFF0000, 0xFF00, 0}, Form::bytes, {3, 2, 1, 0}, false},
      {32, {0xFF000000, 0xFF00, 0xFF, 0}, Form::bytes, {3, 1, 0, 2}, false},
      {32, {0xFF000000, 0xFF0000, 0xFF00, 0xFF}, Form::bytes, {3, 2, 1, 0}, true},
      {32, {0xFF, 0xFF00, 0xFF0000, 0xFF000000}, Form::bytes, {0, 1, 2, 3}, true},
      {32, {0xFF0000, 0xFF00, 0xFF, 0xFF000000}, Form::bytes, {2, 1, 0, 3}, true},
      {32, {0xFF000000, 0xFF00, 0xFF, 0xFF0000}, Form::bytes, {3, 1, 0, 2}, true},
      {32, {0, 0, 0, 0}, Form::bytes, {2, 1, 0, 3}, true},
      {24, {0xFF0000, 0xFF00, 0xFF, 0}, Form::bytes, {2, 1, 0, 3}, false},
      {16, {0xF800, 0x7E0, 0x1F, 0}, Form::rgb565, {}, false},
      {16, {0x7C00, 0x3E0, 0x1F, 0}, Form::rgb555, {}, false},
  };
  for (const Known& k : known) {
    const std::size_t compared = k.bits == 32 ? 4 : 3;
    if (k.bits != bitmap.bits || !std::equal(m.begin(), m.begin() + compared, k.masks.begin())) continue;
    bitmap.form = k.form;
    bitmap.order = k.order;
    if (k.alpha) bitmap.kind = Raster::Kind::rgba;
    return;
  }
  refuse_image(encoded, "BMP", "bit fields of an order that Pillow does not know either");
}

// A palette of the grays 0, 1, .. (of two colours: black and white) makes it a gray picture.
bool is_gray(const Bitmap& bitmap, u64 colors) {
  for (u64 i = 0; i < colors; ++i) {
    const std::size_t at = static_cast<std::size_t>(i) * bitmap.palette_stride;
    const u64 gray = colors == 2 && i == 1 ? 255 : i;
    if (gray > 255 || at + 3 > bitmap.palette.size()) return false;
    for (std::size_t c = 0; c < 3; ++c)
      if (bitmap.palette[at + c] != gray) return false;
  }
  return true;
}

void read_palette(const EncodedImage& encoded, u64 colors, u64 at, Bitmap& bitmap) {
  if (colors == 0 || colors > 65536)
    refuse_image(encoded, "BMP", fmt::format("a palette of {} colours", colors));
  bitmap.palette.resize(static_cast<std::size_t>(colors) * bitmap.palette_stride);
  bitmap.palette.resize(encoded.read_some(at, bitmap.palette));
  if (is_gray(bitmap, colors)) {
    bitmap.kind = Raster::Kind::gray;
    bitmap.form = colors <= 2 ? Form::bits1 : Form::gray8;
  } else {
    bitmap.kind = Raster::Kind::palette;
    bitmap.form = bitmap.bits == 1 ? Form::indices1 : bitmap.bits == 4 ? Form::indices4 : Form::indices8;
  }
}

Bitmap read_bitmap(const EncodedImage& encoded) {
  const auto file = encoded.part(0, 18, "the BMP header");
  const u64 header_bytes = little_endian(file.data() + 14, 4);
  constexpr std::array<u64, 7> sizes{12, 40, 52, 56, 64, 108, 124};
  if (std::find(sizes.begin(), sizes.end(), header_bytes) == sizes.end())
    refuse_image(encoded, "BMP", fmt::format("a header of {} bytes, which no version has", header_bytes));
  const auto header = encoded.part(18, header_bytes - 4, "the BMP header");
  const auto number = [&](std::size_t at, int width) { return little_endian(header.data() + at, width); };
  Bitmap bitmap;
  u64 behind = 14 + header_bytes, colors = 0;
  std::optional<Masks> masks;
  if (header_bytes == 12) {
    bitmap.size = {static_cast<i64>(number(2, 2)), static_cast<i64>(number(0, 2))};
    bitmap.bits = static_cast<int>(number(6, 2));
    bitmap.palette_stride = 3;
  } else {
    bitmap.from_above = header[7] == 0xFF;
    const auto height = static_cast<i64>(number(4, 4));
    bitmap.size = {bitmap.from_above ? (i64{1} << 32) - height : height, static_cast<i64>(number(0, 4))};
    bitmap.bits = static_cast<int>(number(10, 2));
    const u64 packing = number(12, 4);
    if (packing > 3) refuse_image(encoded, "BMP", fmt::format("compression {}", packing));
    bitmap.packing = static_cast<Packing>(packing);
    colors = number(28, 4);
    if (bitmap.packing == Packing::fields) {
      const bool inside = header.size() >= 48;
      const auto behind_it =
          inside ? std::vector<std::uint8_t>{} : encoded.part(behind, 12, "the BMP bit fields");
      const std::uint8_t* from = inside ? header.data() + 36 : behind_it.data();
      const bool opacity = inside && header.size() >= 52;
      masks = Masks{little_endian(from, 4), little_endian(from + 4, 4), little_endian(from + 8, 4),
                    opacity ? little_endian(from + 12, 4) : 0};
      if (!inside) behind += 12;
    }
  }
  constexpr std::array<int, 6> depths{1, 4, 8, 16, 24, 32};
  if (std::find(depths.begin(), depths.end(), bitmap.bits) == depths.end())
    refuse_image(encoded, "BMP", fmt::format("{} bits for a pixel", bitmap.bits));
  if (colors == 0) colors = u64{1} << bitmap.bits;
  bitmap.pixels_at = little_endian(file.data() + 10, 4);
  if (bitmap.pixels_at == 14 + header_bytes && bitmap.bits <= 8)  // it points at the palette
    bitmap.pixels_at += bitmap.palette_stride * colors;
  if (bitmap.bits == 16) bitmap.form = Form::rgb555;
  if (masks) set_fields(encoded, *masks, bitmap);
  if (bitmap.bits <= 8) {
    read_palette(encoded, colors, behind, bitmap);
    behind += bitmap.palette.size();
  }
  if (bitmap.pixels_at == 0) bitmap.pixels_at = behind;
  return bitmap;
}

void unpack_row(const Bitmap& bitmap, const std::uint8_t* from, i64 width, std::uint8_t* to) {
  const auto scaled = [](int value, int most) { return static_cast<std::uint8_t>(value * 255 / most); };
  const i64 step = bitmap.bits / 8, channels = Raster::channels_of(bitmap.kind);
  for (i64 x = 0; x < width; ++x, to += channels) {
    switch (bitmap.form) {
      case Form::bits1:
      case Form::indices1: {
        const int bit = from[x / 8] >> (7 - x % 8) & 1;
        *to = static_cast<std::uint8_t>(bitmap.form == Form::bits1 ? bit * 255 : bit);
        break;
      }
      case Form::indices4:
        *to = static_cast<std::uint8_t>(from[x / 2] >> (x % 2 == 0 ? 4 : 0) & 15);
        break;
      case Form::indices8:
      case Form::gray8:
        *to = from[x];
        break;
      case Form::rgb555:
      case Form::rgb565: {
        const int v = static_cast<int>(little_endian(from + x * 2, 2));
        const bool five = bitmap.form == Form::rgb555;
        to[0] = scaled(v >> (five ? 10 : 11) & 31, 31);
        to[1] = five ? scaled(v >> 5 & 31, 31) : scaled(v >> 5 & 63, 63);
        to[2] = scaled(v & 31, 31);
        break;
      }
      case Form::bytes:
        for (i64 c = 0; c < channels; ++c) to[c] = from[x * step + bitmap.order[static_cast<std::size_t>(c)]];
        break;
    }
  }
}

int bits_of(const Bitmap& bitmap) {
  switch (bitmap.form) {
    case Form::bits1:
    case Form::indices1:
      return 1;
    case Form::indices4:
      return 4;
    case Form::indices8:
    case Form::gray8:
      return 8;
    default:
      return bitmap.bits;
  }
}

void read_bmp_rows(const EncodedImage& encoded, const Bitmap& bitmap, Raster& raster) {
  const i64 stride = ((bitmap.size.width * bitmap.bits + 31) >> 3) & ~i64{3};
  const i64 used = ceil_div(bitmap.size.width * bits_of(bitmap), 8);
  if (used > stride) refuse_image(encoded, "BMP", "its palette says gray, its pixels have fewer bits");
  const u64 needed = static_cast<u64>(stride * (bitmap.size.height - 1) + used);
  const u64 all = encoded.bytes.size();
  if (bitmap.pixels_at > all || all - bitmap.pixels_at < needed)
    refuse_image(encoded, "BMP", "the file is truncated");
  for (i64 y = 0; y < bitmap.size.height; ++y) {
    const std::uint8_t* from = encoded.bytes.data() + bitmap.pixels_at + y * stride;
    unpack_row(bitmap, from, bitmap.size.width,
               raster.row(bitmap.from_above ? y : bitmap.size.height - 1 - y));
  }
}

// Run lengths, as indices row by row from the file's first row; as many as there are.
std::vector<std::uint8_t> unpack_runs(const EncodedImage& encoded, const Bitmap& bitmap) {
  const bool nibbles = bitmap.packing == Packing::runs4;
  const i64 width = bitmap.size.width, all = width * bitmap.size.height;
  std::vector<std::uint8_t> out;
  u64 at = bitmap.pixels_at;
  i64 x = 0;
  const auto size = [&] { return std::ssize(out); };
  const auto take = [&](std::size_t count) {
    std::vector<std::uint8_t> bytes(count);
    bytes.resize(encoded.read_some(at, bytes));
    at += bytes.size();
    return bytes;
  };
  const auto put_nibbles = [&](std::uint8_t byte, bool second) {
    out.push_back(byte >> 4);
    if (second) out.push_back(byte & 15);
  };
  while (size() < all) {
    const auto pair = take(2);
    if (pair.size() < 2) break;
    const std::uint8_t value = pair[1];
    if (pair[0] > 0) {  // that many of it, no further than the end of the row
      const i64 count = std::min<i64>(pair[0], std::max<i64>(0, width - x));
      for (i64 i = 0; i < count; ++i) {
        if (nibbles)
          out.push_back(i % 2 == 0 ? value >> 4 : value & 15);
        else
          out.push_back(value);
      }
      x += count;
    } else if (value == 0) {  // end of the row
      while (size() % width != 0) out.push_back(0);
      x = 0;
    } else if (value == 1) {  // end of the picture
      break;
    } else if (value == 2) {  // to the right and up
      const auto move = take(2);
      if (move.size() < 2) break;
      out.resize(out.size() +
                 static_cast<std::size_t>(std::min<i64>(all - size(), move[0] + move[1] * width)));
      x = size() % width;
    } else {  // that many as they are, then to an even place in the file
      const auto count = static_cast<std::size_t>(std::min<i64>(all - size(), value));
      const std::size_t bytes = nibbles ? (count + 1) / 2 : count;
      const auto stored = take(bytes);
      if (nibbles) {
        for (std::size_t i = 0; i < stored.size(); ++i) put_nibbles(stored[i], i * 2 + 1 < count);
      } else {
        out.insert(out.end(), stored.begin(), stored.end());
      }
      if (stored.size() < bytes || size() == all) break;
      x += value;
      at += at % 2;
    }
  }
  return out;
}

void read_runs(const EncodedImage& encoded, const Bitmap& bitmap, Raster& raster) {
  if (raster.channels() != 1 || bitmap.form == Form::bits1)
    refuse_image(encoded, "BMP", "run lengths without a palette");
  const std::vector<std::uint8_t> indices = unpack_runs(encoded, bitmap);
  const i64 width = bitmap.size.width, height = bitmap.size.height;
  if (std::ssize(indices) < width * height) refuse_image(encoded, "BMP", "its pixels are truncated");
  for (i64 y = 0; y < height; ++y)
    std::copy_n(indices.data() + y * width, width, raster.row(bitmap.from_above ? y : height - 1 - y));
}

bool is_bmp(std::span<const std::uint8_t> start) {
  return text_of(start).starts_with("BM");
}

ImageHeader bmp_header(const EncodedImage& encoded) {
  return {.size = read_bitmap(encoded).size, .metadata = {}};
}

Raster decode_bmp(const EncodedImage& encoded, const DecodeOptions&) {
  const Bitmap bitmap = read_bitmap(encoded);
  Raster raster(bitmap.kind, bitmap.size);
  if (bitmap.kind == Raster::Kind::palette)
    set_palette(raster, bitmap.palette, bitmap.palette_stride, true, encoded.name);
  const bool runs = bitmap.packing == Packing::runs8 || bitmap.packing == Packing::runs4;
  runs ? read_runs(encoded, bitmap, raster) : read_bmp_rows(encoded, bitmap, raster);
  return raster;
}

}  // namespace

const ImageFormat kBmp{"BMP", is_bmp, bmp_header, decode_bmp};

}  // namespace longsight::data
