// What image_decode.cpp asks of the two formats. Internal to this folder.
#pragma once

#include <cstdio>
#include <memory>

#include "runtime/data/image/image_decode.h"
#include "runtime/data/image/image_orientation.h"

namespace longsight::data {

inline constexpr i64 kMaxImageSide = 65500;

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, FileCloser>;

// An encoded image: bytes in memory, or, to read the header alone, an open file.
struct EncodedImage {
  std::span<const std::uint8_t> bytes = {};
  std::FILE* file = nullptr;  // used instead of `bytes` where it is given
  std::string_view name;      // for messages
};

// As stored, before orientation.
struct ImageHeader {
  ImageSize size;
  ImageMetadata metadata;
};

bool is_jpeg(std::span<const std::uint8_t> start);
bool is_png(std::span<const std::uint8_t> start);

ImageHeader read_jpeg_header(const EncodedImage& encoded);
ImageHeader read_png_header(const EncodedImage& encoded);

// Of images whose header was read and is within the limits.
Image decode_jpeg(const EncodedImage& encoded);
Image decode_png(const EncodedImage& encoded, const DecodeOptions& options);

}  // namespace longsight::data
