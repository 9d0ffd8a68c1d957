// Is a text well-formed UTF-8?
#pragma once

#include <string_view>

#include "runtime/base/number.h"

namespace longsight {

// Offset of the first byte that begins no well-formed character (RFC 3629: no overlong forms, no surrogates,
// nothing above U+10FFFF), or -1.
i64 first_invalid_utf8(std::string_view text);

}  // namespace longsight
