#include "runtime/base/readable.h"

#include <doctest/doctest.h>

using longsight::readable;

TEST_CASE("a name as long as a picture is cut to its ends, and the message around it stays") {
  const std::string base64(1'900'000, 'A');
  const std::string text = readable("samples.jsonl:7: data:image;base64," + base64 + ": no such file");
  CHECK(text.size() < 400);
  CHECK(text.starts_with("samples.jsonl:7: data:image;base64,AAAA"));
  CHECK(text.find("(1900019 bytes)") != std::string::npos);
  CHECK(text.ends_with("AAA: no such file"));
}

TEST_CASE("what a person can read is not touched, however long the message") {
  std::string many;
  for (int i = 0; i < 500; ++i) many += "a word of the message ";
  CHECK(readable(many) == many);
  const std::string path = "/" + std::string(300, 'd') + "/x: not there";
  CHECK(readable(path) == path);
}

TEST_CASE("characters of several bytes are never cut in two") {
  std::string name;
  for (int i = 0; i < 500; ++i) name += "ß";
  for (int shift = 0; shift < 3; ++shift) {
    const std::string text = readable(std::string(static_cast<std::size_t>(shift), 'x') + name);
    const std::string head =
        text.substr(static_cast<std::size_t>(shift), text.find("...") - static_cast<std::size_t>(shift));
    CHECK(head.size() % 2 == 0);
    CHECK(text.substr(text.rfind("...") + 3).size() % 2 == 0);
  }
}
