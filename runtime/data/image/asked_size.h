// Size that a record asks for one image or the frames of a video (keys of Qwen's documented form).
#pragma once

#include <optional>

#include "runtime/base/number.h"

namespace longsight::data {

struct AskedSize {
  std::optional<i64> min_pixels{}, max_pixels{}, resized_height{}, resized_width{};

  friend bool operator==(const AskedSize&, const AskedSize&) = default;
};

}  // namespace longsight::data
