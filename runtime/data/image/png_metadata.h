// Size, EXIF and XMP of a PNG file, by walking its chunks. Internal to this folder.
#pragma once

#include "runtime/data/image/image_codec.h"

namespace longsight::data {

// Reads chunk headers and the few chunks that can hold an orientation (they may stand behind the pixels);
// never the pixels. Checks no sums: decoding does.
ImageHeader read_png_metadata(const EncodedImage& encoded);

}  // namespace longsight::data
