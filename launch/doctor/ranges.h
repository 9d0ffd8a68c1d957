// Numbers in messages.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>

#include "runtime/base/number.h"

namespace longsight::launch::doctor {

// "0-2, 5" of ascending numbers.
inline std::string ranges_text(const std::vector<i64>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += text.empty() ? "" : ", ";
    text += last == i ? fmt::format("{}", numbers[i]) : fmt::format("{}-{}", numbers[i], numbers[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace longsight::launch::doctor
