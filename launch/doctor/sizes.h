// Sizes for people.
#pragma once

#include <string>

#include <fmt/format.h>

#include "runtime/base/number.h"

namespace longsight::launch::doctor {

inline constexpr i64 kMiB = i64{1} << 20, kGiB = i64{1} << 30;

inline std::string size_text(i64 bytes) {
  const auto n = static_cast<double>(bytes);
  if (bytes >= 10 * kGiB) return fmt::format("{:.0f} GiB", n / static_cast<double>(kGiB));
  if (bytes >= kGiB) return fmt::format("{:.1f} GiB", n / static_cast<double>(kGiB));
  return fmt::format("{:.0f} MiB", n / static_cast<double>(kMiB));
}

}  // namespace longsight::launch::doctor
