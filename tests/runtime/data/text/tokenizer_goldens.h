// Comparing a tokenizer with what a reference library made of texts (scripts/make_tokenizer_goldens.py).
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/text/tokenizer.h"

namespace longsight::data {

inline std::string surroundings(char32_t code) {
  std::string c;
  append_utf8(c, code);
  return "a" + c + "b 1" + c + c + " " + c + "\n" + c + "'" + c + " '" + c + "e";
}

// `blocks`: pairs of a block of 256 code points and the FNV-1a hash of the ids of all of them in
// surroundings.
inline void check_code_points(const Tokenizer& tokenizer, const Json& blocks) {
  EncodeCache cache;
  for (const Json& block : blocks) {
    std::uint64_t hash = 0xCBF29CE484222325u;
    const auto first = block[0].get<char32_t>() << 8;
    for (char32_t code = first; code < first + 256; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      for (const i64 id : tokenizer.encode(surroundings(code), cache, false).ids) {
        hash = (hash ^ static_cast<std::uint64_t>(id)) * 0x100000001B3u;
      }
    }
    CAPTURE(first);
    CHECK(fmt::format("{:016x}", hash) == block[1].get<std::string>());
  }
}

// `one`: {"texts": [[TEXT, IDS, DECODED or null: as TEXT], ..], "code_points": [..]}
inline void check_texts(const Tokenizer& tokenizer, const Json& one) {
  EncodeCache cache;
  for (const Json& entry : one["texts"]) {
    const std::string text = entry[0];
    CAPTURE(text);
    const Encoding encoding = tokenizer.encode(text, cache);
    CHECK(encoding.ids == entry[1].get<std::vector<i64>>());
    CHECK(tokenizer.decode(encoding.ids, true) == (entry[2].is_null() ? text : entry[2].get<std::string>()));
    CHECK(encoding.spans.size() == encoding.ids.size());
    ByteSpan before;  // what a normaliser changed is one unit, of which several tokens may be parts
    for (const ByteSpan& span : encoding.spans) {
      CHECK(span.begin >= before.begin);
      CHECK(span.end >= std::max(span.begin, before.end));
      CHECK((span.begin <= before.end || span.begin == span.end));
      before = span;
    }
    CHECK(before.end <= static_cast<i64>(text.size()));
  }
  if (one.contains("code_points")) check_code_points(tokenizer, one["code_points"]);
}

}  // namespace longsight::data
