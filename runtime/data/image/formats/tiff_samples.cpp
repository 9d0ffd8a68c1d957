#include "runtime/data/image/formats/tiff_samples.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace longsight::data {
namespace {

using Kind = Raster::Kind;
using Number = TiffSamples::Number;
using Numbers = std::vector<i64>;

std::uint8_t reversed_bits(std::uint8_t byte) {
  std::uint8_t result = 0;
  for (int i = 0; i < 8; ++i) result = static_cast<std::uint8_t>(result << 1 | (byte >> i & 1));
  return result;
}

// What the tags say, brought into one form.
struct Described {
  i64 photometric = 0, fill = 1, format = 1;
  Numbers bits{}, extra{};
  bool little = true;
  bool all_bits(i64 width, std::size_t count) const { return bits == Numbers(count, width); }
};

// Of several values none counts.
i64 photometric_of(const TiffDirectory& directory) {
  const Numbers values = directory.numbers(tiff_tag::photometric);
  return values.size() == 1 ? values[0] : 0;
}

Described described(const EncodedImage& encoded, const TiffDirectory& directory) {
  Described d{.photometric = photometric_of(directory),
              .fill = directory.number(tiff_tag::fill_order).value_or(1),
              .little = !directory.big_endian()};
  Numbers formats = directory.numbers(tiff_tag::sample_format);
  if (formats.empty()) formats = {1};
  if (std::adjacent_find(formats.begin(), formats.end(), std::not_equal_to<>()) != formats.end())
    refuse_image(encoded, "TIFF", "samples of different formats");
  d.format = formats[0];
  d.bits = directory.numbers(tiff_tag::bits);
  if (d.bits.empty()) d.bits = {1};
  d.extra = directory.numbers(tiff_tag::extra_samples);
  i64 samples = directory.number(tiff_tag::samples).value_or(1);
  const bool separate = directory.planes_apart();
  if (separate && !d.extra.empty() && *std::max_element(d.extra.begin(), d.extra.end()) == 0) {
    // Planes of their own that mean nothing stand behind the others.
    d.bits.resize(d.bits.size() - std::min(d.bits.size(), d.extra.size()));
    samples -= std::ssize(d.extra);
    d.extra.clear();
  }
  if (samples > 6 || samples < 1)
    refuse_image(encoded, "TIFF", fmt::format("{} samples of a pixel", samples));
  if (samples < std::ssize(d.bits)) d.bits.resize(static_cast<std::size_t>(samples));
  if (d.bits.size() == 1) d.bits.assign(static_cast<std::size_t>(samples), d.bits[0]);
  if (samples != std::ssize(d.bits)) refuse_image(encoded, "TIFF", "a pixel of an unknown form");
  return d;
}

// One sample of gray, or an index; with one that is passed over or is the opacity.
bool set_one(const Described& d, TiffSamples& s) {
  const bool gray = d.photometric <= 1, forward = d.fill == 1;
  if (d.photometric == 3) s.kind = Kind::palette;
  if (d.photometric > 1 && d.photometric != 3) return false;
  s.inverted = d.photometric == 0;
  s.bits = static_cast<int>(d.bits[0]);
  if (d.bits.size() == 2) {
    if (!d.all_bits(8, 2) || d.extra.size() != 1 || !forward || d.format != 1 || d.photometric == 0)
      return false;
    if (d.extra[0] == 2) s.kind = gray ? Kind::gray_alpha : Kind::palette_alpha;
    return d.extra[0] == 0 || d.extra[0] == 2;
  }
  if (d.bits.size() != 1 || !d.extra.empty()) return false;
  if (s.bits == 1 || s.bits == 2 || s.bits == 4 || s.bits == 8) {
    if (d.format == 2) return s.bits == 8 && d.photometric == 1 && forward;
    return d.format == 1;
  }
  if (!gray || (!forward && (s.bits != 16 || !d.little || d.format != 1 || d.photometric == 0))) return false;
  s.backwards = !d.little;
  s.inverted = false;  // wide samples of inverted gray are taken as they are
  const bool plain = d.photometric == 1;
  if (s.bits == 12) return d.format == 1 && d.little && plain;
  if (s.bits == 16 && d.format == 1) return d.little || plain;
  if (s.bits == 16 && d.format == 2) {
    s.number = Number::whole;
    return plain;
  }
  if (s.bits != 32) return false;
  s.number = d.format == 3 ? Number::floating : Number::whole;
  if (d.format == 1) return d.little && plain;
  return d.format == 3 || (d.format == 2 && plain);
}

// RGB or CMYK, with an opacity, and with samples that are passed over.
bool set_many(const Described& d, TiffSamples& s) {
  const std::size_t colors = d.photometric == 5 ? 4 : 3, count = d.bits.size();
  if (d.format != 1 || count < colors) return false;
  s.kind = d.photometric == 5 ? Kind::cmyk : Kind::rgb;
  s.bits = static_cast<int>(d.bits[0]);
  s.backwards = !d.little;
  if (!d.all_bits(s.bits, count) || (s.bits != 8 && s.bits != 16)) return false;
  if (d.fill != 1 && (d.photometric != 2 || count != 3 || s.bits != 8)) return false;
  if (s.bits == 16 && count > 4) return false;
  if (d.photometric == 6 && (count != 3 || s.bits != 8 || !d.extra.empty())) return false;
  if (d.photometric == 5) return d.extra == Numbers(count - 4, 0);
  if (count == 4 && d.extra.empty()) {
    s.kind = Kind::rgba;
    return true;
  }
  if (d.extra.size() != count - 3) return false;
  if (d.extra.empty()) return true;
  if (!std::all_of(d.extra.begin() + 1, d.extra.end(), [](i64 e) { return e == 0; })) return false;
  const i64 first = d.extra[0];
  if (first == 0) return true;
  s.kind = Kind::rgba;
  s.premultiplied = first == 1;
  return first <= 2 || (first == 999 && s.bits == 8 && count == 4);
}

std::uint8_t narrowed(double value, bool& saturated) {
  saturated = saturated || value >= 256;
  return value <= 0 || std::isnan(value) ? std::uint8_t{0}
                                         : static_cast<std::uint8_t>(std::min(value, 255.0));
}

double wide_sample(const TiffSamples& s, const std::uint8_t* from, i64 x) {
  if (s.bits == 12) {
    const std::uint8_t* pair = from + x / 2 * 3;
    return x % 2 == 0 ? pair[0] << 4 | pair[1] >> 4 : (pair[1] & 15) << 8 | pair[2];
  }
  const int width = s.bits / 8;
  std::array<std::uint8_t, 4> bytes{};
  std::copy_n(from + x * width, width, bytes.begin());
  if (s.reversed)
    for (std::uint8_t& b : bytes) b = reversed_bits(b);
  const auto bits = static_cast<std::uint32_t>(s.backwards ? big_endian(bytes.data(), width)
                                                           : little_endian(bytes.data(), width));
  if (s.number == Number::floating) return std::bit_cast<float>(bits);
  if (s.number == Number::natural) return bits;
  return width == 2 ? static_cast<std::int16_t>(bits) : static_cast<std::int32_t>(bits);
}

}  // namespace

void TiffSamples::unpack(const std::uint8_t* from, i64 width, std::uint8_t* to, bool& saturated) const {
  const i64 channels = Raster::channels_of(kind);
  if (saturates()) {
    for (i64 x = 0; x < width; ++x) to[x] = narrowed(wide_sample(*this, from, x), saturated);
    return;
  }
  if (bits < 8) {
    const int most = (1 << bits) - 1, scale = kind == Kind::gray ? 255 / most : 1;
    for (i64 x = 0; x < width; ++x) {
      const i64 bit = x * bits;
      const std::uint8_t byte = reversed ? reversed_bits(from[bit / 8]) : from[bit / 8];
      const int value = byte >> (8 - bits - bit % 8) & most;
      to[x] = static_cast<std::uint8_t>((inverted ? most - value : value) * scale);
    }
    return;
  }
  const int step = bits / 8, high = bits == 16 && !backwards ? 1 : 0;
  for (i64 x = 0; x < width; ++x) {
    for (i64 c = 0; c < channels; ++c) {
      std::uint8_t value = from[(x * stored + c) * step + high];
      if (reversed) value = reversed_bits(value);
      to[x * channels + c] = inverted ? static_cast<std::uint8_t>(255 - value) : value;
    }
  }
  if (premultiplied) unpremultiply({to, static_cast<std::size_t>(width * channels)});
}

TiffSamples tiff_samples(const EncodedImage& encoded, const TiffDirectory& directory, bool compressed) {
  const Described d = described(encoded, directory);
  if (d.photometric == 8) {
    fail(ExitCode::bad_data, "{}: a TIFF in LAB colours, which are not read; save it as RGB", encoded.name);
  }
  if (d.fill != 1 && d.fill != 2) refuse_image(encoded, "TIFF", "an unknown order of bits");
  TiffSamples s{.stored = static_cast<int>(d.bits.size()), .reversed = d.fill == 2};
  const bool colors = d.photometric == 2 || d.photometric == 5 || (d.photometric == 6 && d.bits.size() == 3);
  const bool gray_luma =
      d.photometric == 6 && d.all_bits(8, 1) && d.fill == 1 && d.format == 1 && d.extra.empty();
  if (!gray_luma && !(colors ? set_many(d, s) : set_one(d, s))) {
    refuse_image(
        encoded, "TIFF",
        fmt::format("pixels of a kind that Pillow does not read either (photometric {}, {} samples of {} "
                    "bits, format {})",
                    d.photometric, d.bits.size(), d.bits[0], d.format));
  }
  const bool byte_or_index =
      d.bits.size() == 1 && (d.photometric == 3 ? s.bits < 8 : s.inverted && s.bits == 8);
  if (!compressed && d.fill == 2 && byte_or_index)
    refuse_image(encoded, "TIFF", "an order of bits that Pillow does not read either");
  if (compressed) {  // libtiff gives the samples in the machine's order, but Pillow takes some for the file's
    s.reversed = false;
    if (s.number == Number::natural) s.backwards = false;
  }
  return s;
}

}  // namespace longsight::data
