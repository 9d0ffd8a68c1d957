// Base64 (RFC 4648, section 4) as it is found in data: wrapped into lines, with or without padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longsight {

// Spaces and line breaks are passed over, padding at the end may be missing. Nothing for a text with other
// characters, padding in the wrong place, a number of digits that makes no whole byte, or bits behind the
// last byte that are not zero.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace longsight
