// Values and names in messages, on one line and of a length that can be read.
#pragma once

#include <string>
#include <string_view>

namespace longsight {

inline constexpr std::size_t kMostShown = 100;
inline constexpr std::size_t kMostOfPath = 200;

// The text itself where it has at most `most` bytes, otherwise its beginning and its end around "..."; never
// cut within a character. Control characters (line breaks too) and bytes that are no UTF-8 become \xNN, \n,
// \t.
std::string shortened(std::string_view text, std::size_t most = kMostShown);

}  // namespace longsight
