#include "runtime/data/text/mapped_text.h"

namespace longsight::data {

void MappedText::replace(i64 bytes, std::string_view part) {
  const i64 at = static_cast<i64>(text_.size());
  const i64 before = changes_.empty() ? at : at - changes_.back().now.end + changes_.back().before.end;
  changes_.push_back({{at, at + static_cast<i64>(part.size())}, {before, before + bytes}});
  text_.append(part);
}

ByteSpan MappedText::source(ByteSpan span) const {
  to_source({&span, 1});
  return span;
}

void MappedText::to_source(std::span<ByteSpan> spans) const {
  if (changes_.empty()) return;
  std::size_t passed = 0;  // changes that begin in front of the place looked at
  // Behind the last change in front of it everything is shifted by the same distance.
  const auto back = [&](i64 position, bool is_end) {
    const auto in_front = [&](const Change& change) {
      return is_end ? change.now.begin < position : change.now.begin <= position;
    };
    while (passed < changes_.size() && in_front(changes_[passed])) ++passed;
    while (passed > 0 && !in_front(changes_[passed - 1])) --passed;
    if (passed == 0) return position;
    const Change& change = changes_[passed - 1];
    if (position < change.now.end) return is_end ? change.before.end : change.before.begin;
    return position - change.now.end + change.before.end;
  };
  for (ByteSpan& span : spans) {
    const i64 begin = back(span.begin, false);
    span = {begin, span.end == span.begin ? begin : back(span.end, true)};
  }
}

}  // namespace longsight::data
