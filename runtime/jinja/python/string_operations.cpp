// The work of string methods.
#include <algorithm>
#include <unordered_set>

#include "runtime/jinja/python/characters.h"
#include "runtime/jinja/python/string_methods.h"

namespace longsight::jinja {
namespace {

i64 size_of(const Text& text) {
  return static_cast<i64>(text.bytes.size());
}

i64 before(const Text& text, i64 at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text.bytes[static_cast<std::size_t>(at)]) & 0xC0) == 0x80);
  return at;
}

Value piece(Run& run, const Text& text, i64 begin, i64 end) {
  run.spend_bytes(end - begin);
  TextBuilder out = run.builder();
  out.add(text, begin, end);
  return out.value(text.markup);
}

void add_piece(Run& run, std::vector<Value>& pieces, const Text& text, i64 begin, i64 end) {
  run.spend_room(pieces.size());
  pieces.push_back(piece(run, text, begin, end));
}

std::string lower_at(const Text& text, std::string_view character, i64 at) {
  const char32_t c = code_point(character);
  return c == 0x3A3 ? lower_sigma(text.bytes, at) : lower(c);
}

std::vector<Value> split_at_spaces(Run& run, const Text& text, i64 most, bool from_right) {
  std::vector<std::pair<i64, i64>> words;
  for (i64 at = 0; at < size_of(text);) {
    const std::string_view character = character_at(text.bytes, at);
    const i64 end = at + static_cast<i64>(character.size());
    if (!is_space(code_point(character))) {
      if (!words.empty() && words.back().second == at) {
        words.back().second = end;
      } else {
        words.emplace_back(at, end);
      }
    }
    at = end;
  }
  if (most >= 0 && static_cast<i64>(words.size()) > most + 1) {
    const auto many = static_cast<std::size_t>(most);
    // The rest stays one piece; spaces at its outer end go, or, where there is no split at all, only those at
    // the side from which splitting begins.
    if (from_right) {
      words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(many + 1));
      words.front().first = 0;
    } else {
      words.resize(many + 1);
      words.back().second = size_of(text);
    }
  } else if (most >= 0 && static_cast<i64>(words.size()) == most + 1 && !words.empty()) {
    if (from_right) {
      words.front().first = 0;
    } else {
      words.back().second = size_of(text);
    }
  }
  std::vector<Value> result;
  for (const auto& [begin, end] : words) add_piece(run, result, text, begin, end);
  return result;
}

}  // namespace

Value upper(Run& run, const Text& text) {
  return map_characters(run, text, [](std::string_view c, i64) { return upper(code_point(c)); });
}

Value lower(Run& run, const Text& text) {
  return map_characters(run, text, [&](std::string_view c, i64 at) { return lower_at(text, c, at); });
}

Value capitalize(Run& run, const Text& text) {
  return map_characters(run, text, [&](std::string_view c, i64 at) {
    return at == 0 ? title(code_point(c)) : lower_at(text, c, at);
  });
}

Value strip(Run& run, const Text& text, const Value& chars, bool left, bool right) {
  std::unordered_set<char32_t> set;
  if (!chars.is(Kind::none)) {
    const Text& listed = require_string(chars, "strip arg");
    run.spend_bytes(size_of(listed));
    for (i64 at = 0; at < size_of(listed);) {
      const std::string_view c = character_at(listed.bytes, at);
      set.insert(code_point(c));
      at += static_cast<i64>(c.size());
    }
  }
  const auto goes = [&](i64 at) {
    const char32_t c = code_point(character_at(text.bytes, at));
    return chars.is(Kind::none) ? is_space(c) : set.contains(c);
  };
  i64 begin = 0;
  i64 end = size_of(text);
  while (left && begin < end && goes(begin))
    begin += static_cast<i64>(character_at(text.bytes, begin).size());
  while (right && end > begin && goes(before(text, end))) end = before(text, end);
  return piece(run, text, begin, end);
}

Value replace(Run& run, const Text& text, const Text& old, const Text& by, i64 count) {
  TextBuilder out = run.builder();
  run.spend_bytes(size_of(text));
  if (count < 0) count = INT64_MAX;
  i64 at = 0;
  while (count > 0) {
    i64 found = at;
    i64 behind = at;
    if (!old.bytes.empty()) {
      const std::size_t position = text.bytes.find(old.bytes, static_cast<std::size_t>(at));
      if (position == std::string::npos) break;
      found = static_cast<i64>(position);
      behind = found + size_of(old);
    }
    run.spend_bytes(size_of(by));
    out.add(text, at, found);
    out.add(by);
    at = behind;
    --count;
    if (old.bytes.empty()) {
      if (at >= size_of(text)) break;
      const i64 next = at + static_cast<i64>(character_at(text.bytes, at).size());
      out.add(text, at, next);
      at = next;
    }
  }
  out.add(text, at, size_of(text));
  return out.value(text.markup);
}

std::vector<Value> split_lines(Run& run, const Text& text, bool keep_ends) {
  std::vector<Value> lines;
  i64 begin = 0;
  for (i64 at = 0; at < size_of(text);) {
    const std::string_view character = character_at(text.bytes, at);
    i64 next = at + static_cast<i64>(character.size());
    if (ends_line(code_point(character))) {
      if (character == "\r" && next < size_of(text) && text.bytes[static_cast<std::size_t>(next)] == '\n')
        ++next;
      add_piece(run, lines, text, begin, keep_ends ? next : at);
      begin = next;
    }
    at = next;
  }
  if (begin < size_of(text)) add_piece(run, lines, text, begin, size_of(text));
  return lines;
}

std::vector<Value> split(Run& run, const Text& text, const Value& separator, i64 most, bool from_right) {
  run.spend_bytes(size_of(text) * 8);
  if (separator.is(Kind::none)) return split_at_spaces(run, text, most, from_right);
  const std::string& by = require_string(separator, "the separator").bytes;
  if (by.empty()) refuse("empty separator");
  if (most < 0) most = INT64_MAX;
  std::vector<Value> result;
  if (!from_right) {
    std::size_t at = 0;
    for (; most > 0; --most) {
      const std::size_t found = text.bytes.find(by, at);
      if (found == std::string::npos) break;
      add_piece(run, result, text, static_cast<i64>(at), static_cast<i64>(found));
      at = found + by.size();
    }
    add_piece(run, result, text, static_cast<i64>(at), size_of(text));
    return result;
  }
  std::size_t end = text.bytes.size();
  for (; most > 0 && end >= by.size(); --most) {
    const std::size_t found = text.bytes.rfind(by, end - by.size());
    if (found == std::string::npos) break;
    add_piece(run, result, text, static_cast<i64>(found + by.size()), static_cast<i64>(end));
    end = found;
  }
  add_piece(run, result, text, 0, static_cast<i64>(end));
  std::reverse(result.begin(), result.end());
  return result;
}

Value pad(Run& run, const Text& text, i64 width, std::string_view fill, Align align) {
  const i64 missing = std::max(width - text.length, i64{0});
  // As CPython centers: the odd one goes to the left where the width is odd.
  const i64 left = align == Align::left    ? 0
                   : align == Align::right ? missing
                                           : missing / 2 + (missing & width & 1);
  TextBuilder out = run.builder();
  run.spend_bytes(size_of(text));
  run.spend(missing / 16);
  for (i64 i = 0; i < left; ++i) out.add(fill);
  out.add(text);
  for (i64 i = left; i < missing; ++i) out.add(fill);
  return out.value(text.markup);
}

}  // namespace longsight::jinja
