// See characters_table.cpp.
#pragma once

#include <cstddef>
#include <iterator>

namespace longsight::jinja {

struct LongCase {
  char32_t character;
  const char* upper;
  const char* title;
};
extern const LongCase kLongCases[];  // ascending
extern const std::size_t kLongCaseCount;

}  // namespace longsight::jinja
