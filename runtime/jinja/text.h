// Strings of the template language: bytes, and where they came from.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/jinja/value.h"

namespace longsight::jinja {

struct Text {
  std::string bytes;                       // well-formed UTF-8
  std::vector<Span> origins;               // ascending, disjoint
  std::vector<std::pair<i64, i64>> marks;  // bytes written inside of {% generation %}; ascending, disjoint
  i64 length = 0;                          // code points
  bool markup = false;                     // `safe` or escaped: what is added to it will be escaped

  bool ascii() const { return length == static_cast<i64>(bytes.size()); }
  // The byte at which code point `index`, 0 <= index <= length, begins.
  i64 offset(i64 index) const;
  // The origin of the byte `at`, or -1.
  int origin(i64 at) const;
};

i64 count_code_points(std::string_view text);

// The bytes of the code point that begins at `at`.
std::string_view character_at(std::string_view text, i64 at);

// Appends pieces of texts, with their origins.
class TextBuilder {
 public:
  // Refuses (run.h) a text of more bytes.
  explicit TextBuilder(i64 most_bytes) : most_bytes_(most_bytes) {}

  void add(std::string_view made, int origin = -1);  // bytes that did not exist before
  void add(const Text& text) { add(text, 0, static_cast<i64>(text.bytes.size())); }
  void add(const Text& text, i64 begin, i64 end);  // its bytes [begin, end)
  void add_marked(const Text& text);               // all of it was written inside of {% generation %}
  i64 size() const { return static_cast<i64>(text_.bytes.size()); }

  Text take();  // what was added; leaves nothing
  Value value(bool markup = false);

 private:
  void room_for(i64 bytes) const;

  i64 most_bytes_;
  Text text_;
};

}  // namespace longsight::jinja
