// The markers of a JPEG up to its first scan, walked through as Pillow does before it calls libjpeg. Internal
// to this folder.
#pragma once

#include "runtime/data/image/formats/image_codec.h"

namespace longsight::data {

struct JpegMarkers {
  ImageSize size;
  int layers = 0;  // 1 gray, 3 colour, 4 CMYK
  ImageMetadata metadata;
};

// bad_data where Pillow refuses the file.
JpegMarkers read_jpeg_markers(const EncodedImage& encoded);

}  // namespace longsight::data
