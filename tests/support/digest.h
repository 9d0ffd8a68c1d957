// Short fingerprints of pixels and bytes, for comparison with those that scripts have written.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <xxhash.h>

#include "runtime/data/image/image.h"

namespace longsight::test {

inline std::string digest(std::string_view bytes) {
  return fmt::format("{:016x}", XXH64(bytes.data(), bytes.size(), 0));
}

inline std::string digest(const data::Image& image) {
  return fmt::format("{:016x}", XXH64(image.rgb.data(), image.rgb.size(), 0));
}

inline std::string digest(const Tensor& values) {
  return fmt::format("{:016x}", XXH64(values.data(), static_cast<std::size_t>(values.bytes()), 0));
}

}  // namespace longsight::test
