// Where the bytes of a picture are: a file, a part of one (a member of a tar shard), or in memory (a data
// URI).
#pragma once

#include <memory>
#include <string>

#include "runtime/base/number.h"

namespace longsight::data {

struct MediaFile {
  std::string path;  // to open; of bytes in memory: their name in messages
  i64 offset = 0;    // where the encoded image begins in the file
  i64 bytes = -1;    // its length; -1: up to the end of the file
  std::shared_ptr<const std::string> content = nullptr;  // the encoded image itself, where it is in memory

  friend bool operator==(const MediaFile&, const MediaFile&) = default;
};

// For messages: the path, and where in it the image begins.
std::string name_of(const MediaFile& file);

}  // namespace longsight::data
