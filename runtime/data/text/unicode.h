// What tokenizers need of Unicode: code points of UTF-8 and character classes (Unicode 16.0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/number.h"
#include "runtime/base/utf8.h"

namespace longsight::data {

// [begin, end) in bytes.
struct ByteSpan {
  i64 begin = 0;
  i64 end = 0;
  bool operator==(const ByteSpan&) const = default;
};

// Flags of a code point.
enum CharacterClass : std::uint8_t {
  kLetter = 1,  // \p{L}
  kNumber = 2,  // \p{N}
  kSpace = 4,   // \s (White_Space)
  kWord = 8,    // \w: alphabetic, mark, decimal number, connector punctuation, joiner
};

// The tables of unicode_tables.cpp, which scripts/make_unicode_tables.py makes.
extern const std::uint8_t kClassIndex[0x110000 / 256];
extern const std::uint8_t kClassBlocks[][128];
extern const char32_t kNfcJoining[];  // of combining class 0, but NFC may join them to what is in front
extern const std::size_t kNfcJoiningCount;
extern const char32_t kNfcInert[];  // newer than Unicode 9, would be moved or composed
extern const std::size_t kNfcInertCount;

inline unsigned class_of(char32_t c) {
  const std::uint8_t pair = kClassBlocks[kClassIndex[c >> 8]][(c & 0xFF) >> 1];
  return (c & 1) != 0 ? pair >> 4 : pair & 0xF;
}

// The code point at `p` and its length, in text already known to be well-formed.
struct CodePoint {
  char32_t value;
  int bytes;
};
inline CodePoint code_point(const char* p) {
  const auto byte = [p](int i) { return static_cast<char32_t>(static_cast<unsigned char>(p[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

// The last code point of well-formed, non-empty text.
CodePoint last_code_point(std::string_view text);

void append_utf8(std::string& text, char32_t c);

// Each ill-formed part becomes U+FFFD, one for each maximal prefix of a character (Unicode 16, section 3.9).
std::string replace_invalid_utf8(std::string_view text);

}  // namespace longsight::data
