#include "runtime/base/utf8.h"

#include <string>

#include <doctest/doctest.h>

using namespace longsight;

namespace {

// The definition of the encoding, without regard to which code points are allowed.
std::string encoded(std::uint32_t c) {
  const auto tail = [](std::uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(c)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(c >> 6), tail(c)};
  return {static_cast<char>(0xF0 | c >> 18), tail(c >> 12), tail(c >> 6), tail(c)};
}

}  // namespace

TEST_CASE("every code point but the surrogates is valid UTF-8, and nothing beyond U+10FFFF") {
  bool right = true;
  for (std::uint32_t c = 0; c < 0x120000; ++c) {
    const bool allowed = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
    right = right && (first_invalid_utf8(encoded(c)) == (allowed ? -1 : 0));
  }
  CHECK(right);
}

TEST_CASE("the first invalid byte is named") {
  CHECK(first_invalid_utf8("") == -1);
  CHECK(first_invalid_utf8("ab\xFF") == 2);
  CHECK(first_invalid_utf8("\xC3\xA9\xC3") == 2);      // cut
  CHECK(first_invalid_utf8("\xE2\x82") == 0);          // cut
  CHECK(first_invalid_utf8("\xE2\x82(") == 0);         // not continued
  CHECK(first_invalid_utf8("\xC0\x80") == 0);          // overlong
  CHECK(first_invalid_utf8("\xE0\x9F\xBF") == 0);      // overlong
  CHECK(first_invalid_utf8("\xF0\x8F\xBF\xBF") == 0);  // overlong
  CHECK(first_invalid_utf8("\x80") == 0);              // a continuation without a beginning
  CHECK(first_invalid_utf8("\xF5\x80\x80\x80") == 0);
}
