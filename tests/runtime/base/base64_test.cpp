#include "runtime/base/base64.h"

#include <doctest/doctest.h>

using namespace longsight;

TEST_CASE("the test vectors of RFC 4648 decode to what they stand for") {
  CHECK(decode_base64("") == "");
  CHECK(decode_base64("Zg==") == "f");
  CHECK(decode_base64("Zm8=") == "fo");
  CHECK(decode_base64("Zm9v") == "foo");
  CHECK(decode_base64("Zm9vYg==") == "foob");
  CHECK(decode_base64("Zm9vYmE=") == "fooba");
  CHECK(decode_base64("Zm9vYmFy") == "foobar");
  CHECK(decode_base64("+/+/") == "\xFB\xFF\xBF");
  CHECK(decode_base64("AAAA") == std::string(3, '\0'));
}

TEST_CASE("base64 may be wrapped into lines and lack its padding") {
  CHECK(decode_base64("Zg") == "f");
  CHECK(decode_base64("Zm9vYg") == "foob");
  CHECK(decode_base64("Zm9v\nYmFy\r\n") == "foobar");
  CHECK(decode_base64(" Zm 9v\tYg=\n= ") == "foob");
}

TEST_CASE("a text that is not base64 is nothing") {
  for (const char* text : {"Zg=", "Z", "Zm9vY", "Z===", "=", "====", "Zm9v=", "Zg==Zg==", "Zm9-", "Zm9_",
                           "Zh==", "Zm9=", "=m9v", "Zm9v!"}) {
    CAPTURE(text);
    CHECK(!decode_base64(text).has_value());
  }
}
