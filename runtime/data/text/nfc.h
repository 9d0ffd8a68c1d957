// Canonical composition, as the Hugging Face library does it.
#pragma once

#include <string_view>

#include "runtime/data/text/mapped_text.h"

namespace longsight::data {

// `text` must be well-formed. Composition and order of marks are those of Unicode 9, as in the Hugging Face
// library: characters that came later stay where they are. (libutf8proc knows Unicode 15; the characters
// where the two differ are kept out of it by a table.)
MappedText nfc(std::string_view text);

}  // namespace longsight::data
