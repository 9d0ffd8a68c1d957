#include "runtime/data/image/formats/encoded_image.h"

#include <algorithm>
#include <cstring>

namespace longsight::data {

namespace {
constexpr u64 kMostPart = 64 << 20;  // bytes of metadata that are read at once
}

u64 EncodedImage::size() const {
  if (file == nullptr) return bytes.size();
  const off_t end = fseeko(file, 0, SEEK_END) == 0 ? ftello(file) : 0;
  return end > 0 ? static_cast<u64>(end) : 0;
}

std::size_t EncodedImage::read_some(u64 offset, std::span<std::uint8_t> to) const {
  if (file != nullptr) {
    if (offset > static_cast<u64>(INT64_MAX) || fseeko(file, static_cast<off_t>(offset), SEEK_SET) != 0)
      return 0;
    return std::fread(to.data(), 1, to.size(), file);
  }
  if (offset >= bytes.size()) return 0;
  const std::size_t count = std::min<std::size_t>(to.size(), bytes.size() - static_cast<std::size_t>(offset));
  if (count > 0) std::memcpy(to.data(), bytes.data() + offset, count);
  return count;
}

std::vector<std::uint8_t> EncodedImage::part(u64 offset, u64 count, std::string_view what) const {
  require(count <= kMostPart, ExitCode::bad_data, "{}: {} of {} bytes, more than the limit of {}", name, what,
          count, kMostPart);
  std::vector<std::uint8_t> result(static_cast<std::size_t>(count));
  require(read_at(offset, result), ExitCode::bad_data, "{}: the file is truncated: {} ends behind it", name,
          what);
  return result;
}

void refuse_image(const EncodedImage& encoded, std::string_view format, std::string_view what) {
  fail(ExitCode::bad_data, "{}: corrupt {}: {}", encoded.name, format, what);
}

}  // namespace longsight::data
