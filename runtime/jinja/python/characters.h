// Unicode as Python's str has it: classes, upper and lower case, spaces and line ends.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/number.h"

namespace longsight::jinja {

char32_t code_point(std::string_view character);  // of one well-formed character
void append_utf8(std::string& text, char32_t c);

bool is_space(char32_t c);      // str.isspace, \s
bool ends_line(char32_t c);     // of str.splitlines
bool is_printable(char32_t c);  // str.isprintable
bool is_letter(char32_t c);     // str.isalpha
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_word(char32_t c);  // \w
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
inline bool is_cased(char32_t c) {
  return is_lower(c) || is_upper(c) || is_title(c);
}

// Full mappings: one character may become several.
std::string upper(char32_t c);
std::string title(char32_t c);
std::string lower(char32_t c);  // but a sigma at the end of a word: lower_sigma
std::string folded(char32_t c);
// The lower case of the capital sigma at byte `at` depends on what stands around it.
std::string lower_sigma(std::string_view text, i64 at);

}  // namespace longsight::jinja
