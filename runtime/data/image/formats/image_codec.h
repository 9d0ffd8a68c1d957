// What image_decode.cpp asks of the formats. Internal to this folder.
#pragma once

#include <cstdio>
#include <memory>

#include "runtime/data/image/formats/encoded_image.h"
#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/image/formats/image_orientation.h"
#include "runtime/data/image/formats/raster.h"

namespace longsight::data {

inline constexpr i64 kMaxImageSide = 65500;

// As stored, before orientation.
struct ImageHeader {
  ImageSize size;
  ImageMetadata metadata;
  bool always_oriented = false;  // a TIFF: Pillow turns it when it loads it, whoever asks
};

// A format: what its files begin with, and the two ways to read them. Both throw bad_data naming the image;
// decode is called for images whose header was read and is within the limits, with bytes in memory.
struct ImageFormat {
  const char* name;
  bool (*matches)(std::span<const std::uint8_t> start);  // the first 16 bytes, or all of a shorter file
  ImageHeader (*read_header)(const EncodedImage& encoded);
  Raster (*decode)(const EncodedImage& encoded, const DecodeOptions& options);
};

extern const ImageFormat kJpeg, kPng, kGif, kWebp, kBmp, kTiff;

// Says what is odd about an image that is decoded all the same.
void warn(const DecodeOptions& options, PictureWarning kind, const EncodedImage& encoded,
          std::string_view what);

// bad_data with the limit: sides of 1 to 65,500, pixels. Formats call it themselves only where they hold
// more than one size.
void require_size(ImageSize size, std::string_view name, i64 max_pixels);

}  // namespace longsight::data
