#include "runtime/data/image/formats/image_orientation.h"

#include <cstring>

namespace longsight::data {
namespace {

constexpr int kOrientationTag = 274;

// Bytes of a TIFF directory; a read behind the end is an empty result, not an error.
class TiffBytes {
 public:
  TiffBytes(std::span<const std::uint8_t> bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}

  bool holds(u64 offset, u64 count) const {
    return offset <= bytes_.size() && count <= bytes_.size() - offset;
  }
  u64 size() const { return bytes_.size(); }
  u64 number(u64 offset, int width) const {  // the caller asked holds()
    u64 value = 0;
    for (int i = 0; i < width; ++i) {
      const int place = big_endian_ ? i : width - 1 - i;
      value = value << 8 | bytes_[static_cast<std::size_t>(offset) + static_cast<std::size_t>(place)];
    }
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool big_endian_;
};

// Bytes per value of TIFF types 1 to 13 and 16; 0: unknown, such an entry is passed over.
int bytes_of_type(u64 type) {
  constexpr int widths[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
  return type < std::size(widths) ? widths[type] : 0;
}

bool is_integer_type(u64 type) {
  return type == 3 || type == 4 || type == 6 || type == 8 || type == 9 || type == 13 || type == 16;
}

// The first entry of the tag in the first directory. An entry whose data lies outside ends the directory (it
// is truncated), as in Pillow; so does the end of the block.
std::optional<u64> find_orientation(const TiffBytes& tiff) {
  u64 at = tiff.number(4, 4);
  if (!tiff.holds(at, 2)) return std::nullopt;
  const u64 entries = tiff.number(at, 2);
  at += 2;
  u64 outside_bytes = 0;
  for (u64 i = 0; i < entries && tiff.holds(at, 12); ++i, at += 12) {
    const u64 tag = tiff.number(at, 2), type = tiff.number(at + 2, 2), count = tiff.number(at + 4, 4);
    const u64 bytes = count * static_cast<u64>(bytes_of_type(type));
    if (bytes == 0) continue;
    u64 data = at + 8;
    if (bytes > 4) {
      outside_bytes += bytes;
      if (outside_bytes > tiff.size()) continue;
      data = tiff.number(at + 8, 4);
      if (!tiff.holds(data, bytes)) return std::nullopt;
    }
    if (tag == kOrientationTag) return is_integer_type(type) ? tiff.number(data, bytes_of_type(type)) : 0;
  }
  return std::nullopt;
}

// Pillow also takes a swapped magic number.
bool is_tiff_block(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 8 && bytes[0] == bytes[1] && (bytes[0] == 'I' || bytes[0] == 'M') &&
         ((bytes[2] == 0 && bytes[3] == 42) || (bytes[2] == 42 && bytes[3] == 0));
}

// Nothing: no EXIF block, or one without the tag. bad_data for what is none, as Pillow.
std::optional<u64> exif_orientation(std::span<const std::uint8_t> exif) {
  constexpr std::string_view prefix("Exif\0\0", 6);
  for (int i = 0;
       i < 2 && exif.size() >= prefix.size() && std::memcmp(exif.data(), prefix.data(), prefix.size()) == 0;
       ++i) {
    exif = exif.subspan(prefix.size());
  }
  if (exif.empty()) return std::nullopt;
  require(is_tiff_block(exif), ExitCode::bad_data,
          "an EXIF block that cannot be read (data.images.exif: false ignores it)");
  return find_orientation(TiffBytes(exif, exif[0] == 'M'));
}

// tiff:Orientation="6" or <tiff:Orientation>6</tiff:Orientation>
std::optional<u64> xmp_orientation(std::string_view xmp) {
  constexpr std::string_view key = "tiff:Orientation";
  for (std::size_t at = xmp.find(key); at != std::string_view::npos; at = xmp.find(key, at + 1)) {
    std::string_view rest = xmp.substr(at + key.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return static_cast<u64>(rest[0] - '0');
  }
  return std::nullopt;
}

}  // namespace

int orientation_of(const ImageMetadata& metadata) {
  if (metadata.orientation) return *metadata.orientation;
  std::optional<u64> value;
  if (metadata.exif) value = exif_orientation(*metadata.exif);
  if (!value) value = xmp_orientation(metadata.xmp);
  return value && *value >= 1 && *value <= 8 ? static_cast<int>(*value) : 1;
}

ImageSize oriented_size(ImageSize stored, int orientation) {
  return orientation >= 5 ? ImageSize{stored.width, stored.height} : stored;
}

Image apply_orientation(Image image, int orientation) {
  check(orientation >= 1 && orientation <= 8, "orientation {}", orientation);
  if (orientation == 1) return image;
  const ImageSize size = oriented_size(image.size(), orientation);
  Image result(size.height, size.width);
  const bool transposed = orientation >= 5;
  // Stored row and column run backwards along the axis of the result that they become.
  const bool row_backwards = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool column_backwards = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  for (i64 y = 0; y < size.height; ++y) {
    std::uint8_t* to = result.row(y);
    for (i64 x = 0; x < size.width; ++x) {
      i64 row = transposed ? x : y;
      i64 column = transposed ? y : x;
      if (row_backwards) row = image.height - 1 - row;
      if (column_backwards) column = image.width - 1 - column;
      std::memcpy(to + x * 3, image.row(row) + column * 3, 3);
    }
  }
  return result;
}

}  // namespace longsight::data
