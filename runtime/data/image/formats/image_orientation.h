// The orientation that a camera noted beside the pixels: EXIF tag 274, else the XMP property
// tiff:Orientation; as Pillow's ImageOps.exif_transpose finds and applies it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/image/image.h"

namespace longsight::data {

struct ImageMetadata {
  std::optional<std::vector<std::uint8_t>> exif;  // a TIFF file, perhaps behind "Exif\0\0"
  std::string xmp;
  std::optional<int> orientation{};  // said by the format itself; nothing else counts then
};

// 1 to 8; 1 where nothing or something unknown is noted. bad_data for an EXIF block that is none.
int orientation_of(const ImageMetadata& metadata);

ImageSize oriented_size(ImageSize stored, int orientation);  // 5 to 8 swap height and width
Image apply_orientation(Image image, int orientation);

}  // namespace longsight::data
