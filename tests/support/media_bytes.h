// The encoded bytes that a MediaFile names.
#pragma once

#include <string>

#include "runtime/data/image/media_file.h"
#include "tests/support/scratch_folder.h"

namespace longsight {

inline std::string media_bytes(const data::MediaFile& file) {
  if (file.content) return *file.content;
  const std::string all = contents_of(file.path);
  return all.substr(static_cast<std::size_t>(file.offset),
                    file.bytes < 0 ? std::string::npos : static_cast<std::size_t>(file.bytes));
}

}  // namespace longsight
