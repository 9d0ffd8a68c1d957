// What the two kinds of format strings share: a text that is read from the front.
#pragma once

#include <string_view>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

constexpr i64 kMaxWidth = 1'000'000;

// Reads a text from the front.
class Reader {
 public:
  explicit Reader(const Text& text) : text_(text) {}
  bool done() const { return at_ >= static_cast<i64>(text_.bytes.size()); }
  char peek(i64 ahead = 0) const {
    const auto at = static_cast<std::size_t>(at_ + ahead);
    return at < text_.bytes.size() ? text_.bytes[at] : '\0';
  }
  char next() { return text_.bytes[static_cast<std::size_t>(at_++)]; }
  bool skip(char c) {
    if (done() || peek() != c) return false;
    ++at_;
    return true;
  }
  std::string_view character() {
    const std::string_view result = character_at(text_.bytes, at_);
    at_ += static_cast<i64>(result.size());
    return result;
  }
  i64 number() {
    i64 value = 0;
    while (!done() && peek() >= '0' && peek() <= '9') {
      value = value * 10 + (next() - '0');
      if (value > kMaxWidth) refuse("a width or precision of more than {}", kMaxWidth);
    }
    return value;
  }
  bool digit() const { return !done() && peek() >= '0' && peek() <= '9'; }
  i64 at() const { return at_; }

 private:
  const Text& text_;
  i64 at_ = 0;
};

// The literal text up to the next of `stops`.
inline void copy_until(Reader& reader, TextBuilder& out, const Text& text, std::string_view stops) {
  const i64 begin = reader.at();
  while (!reader.done() && stops.find(reader.peek()) == std::string_view::npos) reader.next();
  out.add(text, begin, reader.at());
}

}  // namespace longsight::jinja
