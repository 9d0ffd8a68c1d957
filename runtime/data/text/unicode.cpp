#include "runtime/data/text/unicode.h"

namespace longsight::data {

CodePoint last_code_point(std::string_view text) {
  std::size_t at = text.size() - 1;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return code_point(text.data() + at);
}

void append_utf8(std::string& text, char32_t c) {
  const auto add = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xC0 | c >> 6), add(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    add(0xE0 | c >> 12), add(0x80 | (c >> 6 & 0x3F)), add(0x80 | (c & 0x3F));
  } else {
    add(0xF0 | c >> 18), add(0x80 | (c >> 12 & 0x3F)), add(0x80 | (c >> 6 & 0x3F)), add(0x80 | (c & 0x3F));
  }
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  for (;;) {
    const i64 bad = first_invalid_utf8(text);
    if (bad < 0) return result.append(text);
    const std::size_t at = static_cast<std::size_t>(bad);
    result.append(text.substr(0, at));
    result.append("\xEF\xBF\xBD");
    text.remove_prefix(at);
    // The longest prefix of a character that could have been completed goes as one; else a single byte.
    const auto byte = [&](std::size_t i) {
      return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const unsigned lead = byte(0);
    std::size_t length = 1;
    if (lead >= 0xE0 && lead <= 0xF4) {
      const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
      const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
      if (byte(1) >= low && byte(1) <= high) length = lead >= 0xF0 && (byte(2) & 0xC0) == 0x80 ? 3 : 2;
    }
    text.remove_prefix(length);
  }
}

}  // namespace longsight::data
