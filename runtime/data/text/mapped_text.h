// A text made from another one, part by part, with the way back to the bytes it was made from.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/text/unicode.h"

namespace longsight::data {

class MappedText {
 public:
  void reserve(std::size_t bytes) { text_.reserve(bytes); }
  // From left to right: the next bytes of the original as they are, or `bytes` of them become `part`.
  void keep(std::string_view part) { text_.append(part); }
  void replace(i64 bytes, std::string_view part);

  const std::string& text() const { return text_; }
  // The bytes of the original from which the bytes `span` of text() come; a replaced part is one unit.
  ByteSpan source(ByteSpan span) const;
  // The same for many spans, fastest if they ascend.
  void to_source(std::span<ByteSpan> spans) const;

 private:
  struct Change {  // this part of text() came from that part of the original
    ByteSpan now;
    ByteSpan before;
  };
  std::string text_;
  std::vector<Change> changes_;
};

}  // namespace longsight::data
