// Spaces in the texts around answers. Internal to this folder.
#pragma once

#include <algorithm>
#include <string_view>

#include "runtime/base/number.h"

namespace longsight::data {

inline constexpr std::string_view kSpaces = " \t\r\n\f\v";

inline std::size_t spaces_at(std::string_view text) {
  return std::min(text.find_first_not_of(kSpaces), text.size());
}
inline std::string_view without_end_spaces(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kSpaces);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}
inline std::string_view part_of(std::string_view text, i64 begin, i64 end) {
  return text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

}  // namespace longsight::data
