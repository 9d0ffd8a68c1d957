// Text as UTF-8: is it well-formed, and where do its characters begin?
#pragma once

#include <string_view>

#include "runtime/base/number.h"

namespace longsight {

// Offset of the first byte that begins no well-formed character (RFC 3629: no overlong forms, no surrogates,
// nothing above U+10FFFF), or -1.
i64 first_invalid_utf8(std::string_view text);

// Is the byte one behind the first of a character of several bytes?
inline bool continues_utf8(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

}  // namespace longsight
