// What methods of strings and filters share.
#pragma once

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

Value upper(Run& run, const Text& text);
Value lower(Run& run, const Text& text);
Value capitalize(Run& run, const Text& text);
Value strip(Run& run, const Text& text, const Value& chars, bool left,
            bool right);  // chars: None or a string
Value replace(Run& run, const Text& text, const Text& old, const Text& by, i64 count);
std::vector<Value> split_lines(Run& run, const Text& text, bool keep_ends);
std::vector<Value> split(Run& run, const Text& text, const Value& separator, i64 most, bool from_right);
enum class Align : std::uint8_t { left, right, center };  // where the text goes
Value pad(Run& run, const Text& text, i64 width, std::string_view fill, Align align);
// `text` with every character replaced by what `change` gives for it; keeps origins.
template <class Change>
Value map_characters(Run& run, const Text& text, Change&& change) {
  run.spend_bytes(static_cast<i64>(text.bytes.size()) * 8);
  TextBuilder out = run.builder();
  for (i64 at = 0; at < static_cast<i64>(text.bytes.size());) {
    const std::string_view character = character_at(text.bytes, at);
    out.add(change(character, at), text.origin(at));
    at += static_cast<i64>(character.size());
  }
  return out.value(text.markup);
}

}  // namespace longsight::jinja
