#include "runtime/data/text/unicode.h"

#include <doctest/doctest.h>

using namespace longsight;
using namespace longsight::data;

TEST_CASE("character classes are those of Unicode 16") {
  CHECK(class_of(U'a') == (kLetter | kWord));
  CHECK(class_of(U'7') == (kNumber | kWord));
  CHECK(class_of(U'½') == kNumber);            // No: a number, but no part of a word
  CHECK(class_of(U'Ⅷ') == (kNumber | kWord));  // Nl
  CHECK(class_of(U'_') == kWord);              // Pc
  CHECK(class_of(0x301) == kWord);             // a mark
  CHECK(class_of(0x200D) == kWord);            // joiner
  CHECK(class_of(0x24B6) == kWord);            // circled letter: alphabetic, but So
  CHECK(class_of(U'你') == (kLetter | kWord));
  CHECK(class_of(0x105C0) == (kLetter | kWord));  // Todhri, new in 16.0
  CHECK(class_of(0x1CCF0) == (kNumber | kWord));  // outlined digit, new in 16.0
  CHECK(class_of(U'😀') == 0);
  CHECK(class_of(0x10FFFF) == 0);
  for (const char32_t space :
       {0x9, 0xA, 0xD, 0x20, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x202F, 0x205F, 0x3000}) {
    CHECK(class_of(space) == kSpace);
  }
  for (const char32_t none : {0x1C, 0x180E, 0x200B, 0xFEFF}) CHECK(class_of(none) == 0);
}

TEST_CASE("code points survive the way to UTF-8 and back") {
  for (const char32_t c : {0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}) {
    std::string text;
    append_utf8(text, c);
    CHECK(first_invalid_utf8(text) == -1);
    CHECK(code_point(text.data()).value == c);
    CHECK(code_point(text.data()).bytes == static_cast<int>(text.size()));
    CHECK(last_code_point("é" + text).value == c);
  }
}

TEST_CASE("each ill-formed part becomes one replacement character, as in Rust and Python") {
  const std::string r = "\xEF\xBF\xBD";
  CHECK(replace_invalid_utf8("plain é 😀") == "plain é 😀");
  CHECK(replace_invalid_utf8("a\x80"
                             "b") == "a" + r + "b");
  CHECK(replace_invalid_utf8("\xE4\xBD") == r);  // a character cut short is one
  CHECK(replace_invalid_utf8("\xF0\x9F\x98x") == r + "x");
  CHECK(replace_invalid_utf8("\xF0\x9F") == r);
  CHECK(replace_invalid_utf8("\xC0\xAF") == r + r);  // overlong: no prefix of anything
  CHECK(replace_invalid_utf8("\xE0\x80\x80") == r + r + r);
  CHECK(replace_invalid_utf8("\xED\xA0\x80") == r + r + r);  // surrogate
  CHECK(replace_invalid_utf8("\xF5\x80") == r + r);
  CHECK(replace_invalid_utf8("\xC3\xC3\xA9") == r + "é");
}
