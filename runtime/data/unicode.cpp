#include "runtime/data/unicode.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <utf8proc.h>

namespace longsight::data {
namespace {

bool listed(const char32_t* list, std::size_t count, char32_t c) {
  return std::binary_search(list, list + count, c);
}

// Below U+0300 nothing joins what is in front of it.
bool joins_previous(char32_t c) {
  if (c < 0x300) return false;
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class != 0 ||
         listed(kNfcJoining, kNfcJoiningCount, c);
}

bool inert(char32_t c) {
  return c >= 0x700 && listed(kNfcInert, kNfcInertCount, c);
}

std::string compose(std::string_view text) {
  utf8proc_uint8_t* raw = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &raw,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(raw, &std::free);
  require(size >= 0, ExitCode::bad_data, "cannot normalise a text: {}", utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(raw), static_cast<std::size_t>(size));
}

}  // namespace

CodePoint last_code_point(std::string_view text) {
  std::size_t at = text.size() - 1;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return code_point(text.data() + at);
}

void append_utf8(std::string& text, char32_t c) {
  const auto add = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xC0 | c >> 6), add(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    add(0xE0 | c >> 12), add(0x80 | (c >> 6 & 0x3F)), add(0x80 | (c & 0x3F));
  } else {
    add(0xF0 | c >> 18), add(0x80 | (c >> 12 & 0x3F)), add(0x80 | (c >> 6 & 0x3F)), add(0x80 | (c & 0x3F));
  }
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  for (;;) {
    const i64 bad = first_invalid_utf8(text);
    if (bad < 0) return result.append(text);
    const std::size_t at = static_cast<std::size_t>(bad);
    result.append(text.substr(0, at));
    result.append("\xEF\xBF\xBD");
    text.remove_prefix(at);
    // The longest prefix of a character that could have been completed goes as one; else a single byte.
    const auto byte = [&](std::size_t i) {
      return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const unsigned lead = byte(0);
    std::size_t length = 1;
    if (lead >= 0xE0 && lead <= 0xF4) {
      const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
      const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
      if (byte(1) >= low && byte(1) <= high) length = lead >= 0xF0 && (byte(2) & 0xC0) == 0x80 ? 3 : 2;
    }
    text.remove_prefix(length);
  }
}

NfcText::NfcText(std::string_view text) {
  text_.reserve(text.size());
  // Segments that begin with a character which nothing in front can change; each is normalised for itself.
  std::size_t begin = 0;
  while (begin < text.size()) {
    const CodePoint first = code_point(text.data() + begin);
    std::size_t end = begin + static_cast<std::size_t>(first.bytes);
    bool plain = first.value < 0x300 || inert(first.value);
    if (!inert(first.value)) {
      while (end < text.size()) {
        const CodePoint next = code_point(text.data() + end);
        if (!joins_previous(next.value) || inert(next.value)) break;
        end += static_cast<std::size_t>(next.bytes);
        plain = false;
      }
    }
    const std::string_view segment = text.substr(begin, end - begin);
    if (plain) {
      text_.append(segment);
    } else {
      const std::string composed = compose(segment);
      if (composed != segment) {
        const i64 at = static_cast<i64>(text_.size());
        changes_.push_back(
            {{at, at + static_cast<i64>(composed.size())}, {static_cast<i64>(begin), static_cast<i64>(end)}});
      }
      text_.append(composed);
    }
    begin = end;
  }
}

ByteSpan NfcText::source(ByteSpan span) const {
  // The last change that begins at or before `position`; behind it everything is shifted by the same
  // distance.
  const auto back = [this](i64 position, bool is_end) {
    auto next = std::upper_bound(changes_.begin(), changes_.end(), position,
                                 [is_end](i64 value, const Change& change) {
                                   return is_end ? value <= change.now.begin : value < change.now.begin;
                                 });
    if (next == changes_.begin()) return position;
    const Change& change = *(next - 1);
    if (position < change.now.end) return is_end ? change.before.end : change.before.begin;
    return position - change.now.end + change.before.end;
  };
  if (span.begin == span.end) return {back(span.begin, false), back(span.begin, false)};
  return {back(span.begin, false), back(span.end, true)};
}

}  // namespace longsight::data
