// The tokens of a template: text, and what stands in its tags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::jinja {

enum class TokenKind : std::uint8_t {
  data,
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  string,
  integer,
  real,
  sign,
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  int line = 1;
  std::string text;  // of data and strings, without escapes; a name; the characters of a sign
  i64 integer = 0;
  double real = 0;
};

// As jinja2 with trim_blocks and lstrip_blocks; ends with a token `end`. Sets `line` as it goes, and refuses
// (run.h) what is no template.
std::vector<Token> tokens_of(std::string_view source, int& line);

}  // namespace longsight::jinja
