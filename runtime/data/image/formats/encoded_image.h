// The bytes of an image file: in memory, or, to read its header alone, an open file. Internal to this folder.
#pragma once

#include <cstdio>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, FileCloser>;

struct EncodedImage {
  std::span<const std::uint8_t> bytes = {};
  std::FILE* file = nullptr;  // used instead of `bytes` where it is given
  std::string_view name;      // for messages

  u64 size() const;
  // As many bytes as there are from the offset on, at most to.size(); how many.
  std::size_t read_some(u64 offset, std::span<std::uint8_t> to) const;
  // All of them, or false.
  bool read_at(u64 offset, std::span<std::uint8_t> to) const { return read_some(offset, to) == to.size(); }
  // bad_data if there are not so many bytes, or more than `most`; `what` says of what.
  std::vector<std::uint8_t> part(u64 offset, u64 count, std::string_view what) const;
};

// Refuses the image: bad_data "NAME: corrupt FORMAT: ...".
[[noreturn]] void refuse_image(const EncodedImage& encoded, std::string_view format, std::string_view what);

// Numbers in a file.
inline u64 little_endian(const std::uint8_t* bytes, int width) {
  u64 value = 0;
  for (int i = width - 1; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}
inline u64 big_endian(const std::uint8_t* bytes, int width) {
  u64 value = 0;
  for (int i = 0; i < width; ++i) value = value << 8 | bytes[i];
  return value;
}
inline std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace longsight::data
