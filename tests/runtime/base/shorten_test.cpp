#include "runtime/base/shorten.h"

#include <doctest/doctest.h>

#include "runtime/base/utf8.h"

using namespace longsight;

TEST_CASE("a long text keeps its beginning and its end") {
  CHECK(shortened("") == "");
  CHECK(shortened(std::string(100, 'x')) == std::string(100, 'x'));
  const std::string text = "begin" + std::string(1'000'000, 'x') + "end";
  const std::string short_one = shortened(text);
  CHECK(short_one.size() == 100);
  CHECK(short_one.starts_with("beginxxx"));
  CHECK(short_one.ends_with("xxxend"));
  CHECK(shortened(text, 30).size() == 30);
}

TEST_CASE("what is shortened is one line of UTF-8") {
  CHECK(shortened("a\nb\tc\x01\x7F") == "a\\nb\\tc\\x01\\x7F");
  CHECK(shortened("\xC3\xA9\xFF") == "\xC3\xA9\\xFF");
  // Never cut within a character, wherever the cuts fall.
  for (std::size_t more = 0; more < 8; ++more) {
    std::string text(more, 'x');
    for (int i = 0; i < 100; ++i) text += i % 2 ? "\xF0\x9F\x98\x80" : "\xE2\x82\xAC";
    const std::string cut = shortened(text);
    CHECK(first_invalid_utf8(cut) == -1);
    CHECK(cut.find('\\') == std::string::npos);
    CHECK(cut.size() <= 100);
  }
}
