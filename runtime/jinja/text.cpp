#include "runtime/jinja/text.h"

#include <algorithm>

#include "runtime/jinja/run.h"

namespace longsight::jinja {
namespace {

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

}  // namespace

i64 count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), begins_character);
}

std::string_view character_at(std::string_view text, i64 at) {
  const auto begin = static_cast<std::size_t>(at);
  std::size_t end = begin + 1;
  while (end < text.size() && !begins_character(text[end])) ++end;
  return text.substr(begin, end - begin);
}

i64 Text::offset(i64 index) const {
  if (ascii()) return index;
  if (index == length) return static_cast<i64>(bytes.size());
  i64 seen = -1;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (begins_character(bytes[i]) && ++seen == index) return static_cast<i64>(i);
  }
  return static_cast<i64>(bytes.size());
}

int Text::origin(i64 at) const {
  const auto behind = std::upper_bound(origins.begin(), origins.end(), at,
                                       [](i64 value, const Span& span) { return value < span.end; });
  return behind != origins.end() && behind->begin <= at ? behind->origin : -1;
}

void TextBuilder::room_for(i64 bytes) const {
  if (bytes > most_bytes_ - size()) refuse("a text of more than {} bytes", most_bytes_);
}

void TextBuilder::add(std::string_view made, int origin) {
  if (made.empty()) return;
  room_for(static_cast<i64>(made.size()));
  const i64 begin = size();
  text_.bytes.append(made);
  if (origin < 0) return;
  if (!text_.origins.empty() && text_.origins.back().end == begin && text_.origins.back().origin == origin) {
    text_.origins.back().end = size();
  } else {
    text_.origins.push_back({begin, size(), origin});
  }
}

void TextBuilder::add(const Text& text, i64 begin, i64 end) {
  if (begin >= end) return;
  room_for(end - begin);
  const i64 shift = size() - begin;
  text_.bytes.append(text.bytes, static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  auto span = std::upper_bound(text.origins.begin(), text.origins.end(), begin,
                               [](i64 value, const Span& each) { return value < each.end; });
  for (; span != text.origins.end() && span->begin < end; ++span) {
    const Span moved{std::max(span->begin, begin) + shift, std::min(span->end, end) + shift, span->origin};
    std::vector<Span>& all = text_.origins;
    if (!all.empty() && all.back().end == moved.begin && all.back().origin == moved.origin) {
      all.back().end = moved.end;
    } else {
      all.push_back(moved);
    }
  }
  for (const auto& [from, to] : text.marks) {
    if (from < end && to > begin)
      text_.marks.emplace_back(std::max(from, begin) + shift, std::min(to, end) + shift);
  }
}

void TextBuilder::add_marked(const Text& text) {
  const i64 begin = size();
  const std::size_t marks = text_.marks.size();
  add(text);
  text_.marks.resize(marks);  // a block inside of a block
  if (size() > begin) text_.marks.emplace_back(begin, size());
}

Text TextBuilder::take() {
  Text text = std::move(text_);
  text_ = Text{};
  text.length = count_code_points(text.bytes);
  return text;
}

Value TextBuilder::value(bool markup) {
  auto text = std::make_shared<Text>(take());
  text->markup = markup;
  return Value(std::shared_ptr<const Text>(std::move(text)));
}

}  // namespace longsight::jinja
