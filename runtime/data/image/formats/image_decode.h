// Image files as RGB pixels, equal to Pillow's Image.open(path), exif_transpose, convert("RGB"): JPEG, PNG,
// GIF (the first frame), WebP (the first frame), BMP and TIFF (the first page).
//
// The format is told by the first bytes of the file, not by its name. Errors: missing_input if the file
// cannot be opened; bad_data, naming the file and what is wrong, where Pillow refuses it, and for what is of
// another format or larger than the limits (178 956 970 pixels, sides of 65 500). What Pillow takes although
// something is wrong with it is decoded to the same pixels, with a warning.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/data/image/image.h"
#include "runtime/data/image/media_file.h"

namespace longsight::data {

enum class Alpha {
  drop,   // the colours as stored: what Pillow's convert("RGB") does
  white,  // composed with a white background: what processors of transformers 5.23 do with Pillow images
};

// Why an image that is decoded may not look as meant.
enum class PictureWarning {
  damaged,      // something is wrong with the file, but Pillow opens it
  transparent,  // what was transparent shows the colours stored there
  saturated,    // gray values above 255 became 255
  large,        // Pillow warns of a decompression bomb
};

struct DecodeOptions {
  Alpha alpha = Alpha::drop;
  bool exif_orientation = true;
  i64 max_pixels = kMostPixels;
  // Called with the image's name and one phrase about it. Null: silence.
  std::function<void(PictureWarning, std::string_view name, std::string_view what)> warn = nullptr;
};

Image decode_image_file(const std::string& path, const DecodeOptions& options = {});
// A part of a file is bad_data if the file ends before it does.
Image decode_image_file(const MediaFile& file, const DecodeOptions& options = {});
// `name` stands for the file in messages.
Image decode_image(std::span<const std::uint8_t> bytes, std::string_view name,
                   const DecodeOptions& options = {});

// Size of the decoded image, from the header alone: it reads little of the file and decodes nothing.
ImageSize read_image_size(const std::string& path, const DecodeOptions& options = {});
ImageSize read_image_size(const MediaFile& file, const DecodeOptions& options = {});
ImageSize read_image_size(std::span<const std::uint8_t> bytes, std::string_view name,
                          const DecodeOptions& options = {});

}  // namespace longsight::data
