// A part of a file as if it were a file of its own: a picture in a tar shard. Internal to this folder.
#pragma once

#include "runtime/data/image/formats/image_codec.h"
#include "runtime/data/image/media_file.h"

namespace longsight::data {

// Of the open file, which is closed with it. Reading and seeking stay inside [offset, offset + bytes), or run
// to the end of the file where bytes is -1. bad_data if it ends before the part does.
FileHandle open_window(const MediaFile& media, int descriptor);

}  // namespace longsight::data
