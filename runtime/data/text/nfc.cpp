#include "runtime/data/text/nfc.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <utf8proc.h>

#include "runtime/base/error.h"

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

MappedText nfc(std::string_view text) {
  MappedText out;
  out.reserve(text.size());
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
    const std::string composed = plain ? std::string() : compose(segment);
    if (plain || composed == segment) {
      out.keep(segment);
    } else {
      out.replace(static_cast<i64>(segment.size()), composed);
    }
    begin = end;
  }
  return out;
}

}  // namespace longsight::data
