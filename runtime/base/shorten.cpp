#include "runtime/base/shorten.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/base/utf8.h"

namespace longsight {
namespace {

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const i64 invalid = first_invalid_utf8(text);
    const std::size_t valid = invalid < 0 ? text.size() : static_cast<std::size_t>(invalid);
    for (const char c : text.substr(0, valid)) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '\n') {
        shown += "\\n";
      } else if (c == '\t') {
        shown += "\\t";
      } else if (byte < 0x20 || byte == 0x7F) {
        shown += fmt::format("\\x{:02X}", byte);
      } else {
        shown += c;
      }
    }
    text.remove_prefix(valid);
    if (text.empty()) break;
    shown += fmt::format("\\x{:02X}", static_cast<unsigned char>(text.front()));
    text.remove_prefix(1);
  }
  return shown;
}

}  // namespace

std::string shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most) return printable(text);
  // More of the beginning: there a path, a URI or a JSON value says what it is.
  std::size_t head = most * 2 / 3, tail = text.size() - (most - most * 2 / 3 - 3);
  // A character has at most three bytes behind its first; more are no UTF-8 anyway.
  for (int i = 0; i < 3 && head > 0 && continues_utf8(text[head]); ++i) --head;
  for (int i = 0; i < 3 && tail < text.size() && continues_utf8(text[tail]); ++i) ++tail;
  return printable(text.substr(0, head)) + "..." + printable(text.substr(tail));
}

}  // namespace longsight
