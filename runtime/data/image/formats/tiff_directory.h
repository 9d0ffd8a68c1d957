// The first directory of a TIFF (also BigTIFF), read as Pillow reads it: what cannot be read of it is left
// out. Internal to this folder.
#pragma once

#include <map>
#include <optional>
#include <span>

#include "runtime/data/image/formats/encoded_image.h"

namespace longsight::data {

namespace tiff_tag {
constexpr int width = 256, height = 257, bits = 258, compression = 259, photometric = 262, fill_order = 266,
              strip_offsets = 273, orientation = 274, samples = 277, rows_per_strip = 278, strip_bytes = 279,
              planes = 284, colors = 320, tile_width = 322, tile_height = 323, tile_offsets = 324,
              tile_bytes = 325, extra_samples = 338, sample_format = 339, xmp = 700;
}  // namespace tiff_tag

class TiffDirectory {
 public:
  // bad_data if there is no directory. The image must outlive it.
  explicit TiffDirectory(const EncodedImage& encoded);

  bool big_endian() const { return big_endian_; }
  u64 offset() const { return offset_; }  // of the directory in the file
  bool has(int tag) const { return fields_.contains(tag); }
  // Values that the tag says it has, whether they can be read or not.
  u64 count(int tag) const {
    const auto found = counts_.find(tag);
    return found == counts_.end() ? 0 : found->second;
  }
  // Nothing where the tag is not there; bad_data where it holds no whole numbers.
  std::vector<i64> numbers(int tag) const;
  std::optional<i64> number(int tag) const;  // the first one
  std::span<const std::uint8_t> bytes(int tag) const;
  // Each sample of a pixel in a plane of its own; what says so in another way than by a number says nothing.
  bool planes_apart() const;

 private:
  struct Field {
    int type = 0;
    std::vector<std::uint8_t> bytes;
  };

  u64 value(const std::uint8_t* bytes, int width) const {
    return big_endian_ ? longsight::data::big_endian(bytes, width) : little_endian(bytes, width);
  }
  void read_entries(bool wide);

  const EncodedImage& encoded_;
  bool big_endian_ = false;
  u64 offset_ = 0;
  std::map<int, Field> fields_;
  std::map<int, u64> counts_;
};

}  // namespace longsight::data
