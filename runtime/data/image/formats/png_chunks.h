// The chunks of a PNG, walked through as Pillow does: what it checks, and what it passes over. Internal to
// this folder.
#pragma once

#include <array>
#include <optional>

#include "runtime/data/image/formats/image_codec.h"

namespace longsight::data {

struct PngChunks {
  ImageSize size;
  int depth = 0;
  int color = 0;  // as the file has it: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGB and alpha
  bool interlaced = false;
  std::vector<std::uint8_t> palette;       // red, green, blue
  std::vector<std::uint8_t> transparency;  // tRNS, as it is
  ImageMetadata metadata;

  struct Part {
    u64 at = 0, bytes = 0;
  };
  std::vector<Part> data;  // of the compressed pixels; the first ones that follow on each other
  // Where an animation's first frame lies in the picture; the whole picture otherwise.
  i64 left = 0, top = 0;
  ImageSize frame;

  bool ended = false;        // by IEND
  bool data_checked = true;  // the checksums of the pixels' chunks are right
};

// bad_data where Pillow refuses the file; what stands behind the pixels may be cut off between two chunks,
// and has checksums that nobody looks at. `headers_only`: also of a file whose end is not there, and without
// a look at checksums: size and metadata.
PngChunks read_png_chunks(const EncodedImage& encoded, bool headers_only);

}  // namespace longsight::data
