// The bytes of a picture, wherever they are: in a file, in a part of one, or in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/data/image_decode.h"
#include "runtime/data/media_file.h"

namespace longsight::data {

// For messages: "a.png", "shard.tar at byte 1536".
std::string name_of(const MediaFile& file);

// missing_input if the file cannot be opened; bad_data if the part is not in it, or larger than 1 GiB.
std::vector<std::uint8_t> read_media(const MediaFile& file);

// As decode_image_file and read_image_size do for a file of its own.
Image decode_media(const MediaFile& file, const DecodeOptions& options = {});
ImageSize read_media_size(const MediaFile& file, const DecodeOptions& options = {});

}  // namespace longsight::data
