#include "runtime/data/text/nfc.h"

#include <doctest/doctest.h>

using namespace longsight;
using namespace longsight::data;

TEST_CASE("NFC composes, orders marks, and leaves what came after Unicode 9") {
  CHECK(nfc("plain").text() == "plain");
  CHECK(nfc("e\u0301").text() == "é");
  CHECK(nfc("\u212B").text() == "Å");                    // a singleton
  CHECK(nfc("a\u0301\u0323").text() == "\u1EA1\u0301");  // ordered, then composed
  CHECK(nfc("\u1100\u1161\u11A8").text() == "각");
  CHECK(nfc("\u09C7\u09BE").text() == "\u09CB");                        // a vowel sign of class 0 joins
  CHECK(nfc("\u0F73\u0F73").text() == "\u0F71\u0F71\u0F72\u0F72");      // class 0, but decomposes into marks
  CHECK(nfc("\U00011935\U00011930").text() == "\U00011935\U00011930");  // composed since Unicode 13
  CHECK(nfc("e\u1DFA\u0301").text() == "e\u1DFA\u0301");  // U+1DFA is of Unicode 14, below class 230
}

TEST_CASE("spans of normalised text lead back to the bytes they came from") {
  const std::string before = "xe\u0301y\u212Bz";  // x, e + 2 bytes, y, 3 bytes, z
  const MappedText composed = nfc(before);
  REQUIRE(composed.text() == "xéyÅz");
  CHECK(composed.source({0, 1}) == ByteSpan{0, 1});
  CHECK(composed.source({1, 3}) == ByteSpan{1, 4});  // é
  CHECK(composed.source({1, 2}) == ByteSpan{1, 4});  // half of it: all of its source
  CHECK(composed.source({3, 4}) == ByteSpan{4, 5});  // y
  CHECK(composed.source({4, 6}) == ByteSpan{5, 8});  // Å
  CHECK(composed.source({6, 7}) == ByteSpan{8, 9});
  CHECK(composed.source({0, 7}) == ByteSpan{0, 9});
  CHECK(composed.source({3, 3}) == ByteSpan{4, 4});
}
