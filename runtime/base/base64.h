// Base64 (RFC 4648, section 4), decoded strictly.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longsight {

// Nothing for a text that is not whole groups of four, has other characters (spaces too), padding in the
// wrong place, or bits behind the last byte that are not zero.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace longsight
