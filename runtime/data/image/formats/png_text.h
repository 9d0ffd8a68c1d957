// Texts in a PNG that say how the picture is turned. Internal to this folder.
#pragma once

#include <optional>
#include <string>

#include "runtime/data/image/formats/image_codec.h"

namespace longsight::data {

class PngText {
 public:
  // A chunk tEXt, zTXt, iTXt or iCCP; others are passed over. bad_data for compressed ones of more than 1 MiB
  // or of an unknown compression, as in Pillow.
  void read(std::string_view type, std::string_view content, const EncodedImage& encoded);
  void move_to(ImageMetadata& metadata);

 private:
  void keep(std::string_view key, std::string_view text);

  std::optional<std::vector<std::uint8_t>> profile_;  // counts where there is no EXIF block
  std::string xmp_;
};

}  // namespace longsight::data
