#include "runtime/data/text/pattern_scan.h"

#include <string>

#include <doctest/doctest.h>

using namespace longsight;
using namespace longsight::data;

namespace {

std::vector<std::string> pieces(Pattern pattern, const std::string& text) {
  std::vector<i64> ends;
  scan(pattern, text, ends);
  std::vector<std::string> result;
  i64 begin = 0;
  for (const i64 end : ends) {
    result.push_back(text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    begin = end;
  }
  REQUIRE(begin == static_cast<i64>(text.size()));
  return result;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("the GPT-2 pattern") {
  CHECK(pieces(Pattern::gpt2, "Hello  world's 123,4!?\n") ==
        Strings{"Hello", " ", " world", "'s", " 123", ",", "4", "!?", "\n"});
  CHECK(pieces(Pattern::gpt2, "IT'S") == Strings{"IT", "'", "S"});
  CHECK(pieces(Pattern::gpt2, " \n x") == Strings{" \n", " x"});
  CHECK(pieces(Pattern::gpt2, "x   ") == Strings{"x", "   "});
  CHECK(pieces(Pattern::gpt2, "\t\tx") == Strings{"\t", "\t", "x"});
  CHECK(pieces(Pattern::gpt2, "'l'll'r") == Strings{"'", "l", "'ll", "'", "r"});
}

TEST_CASE("the Qwen2 and Llama-3 patterns") {
  CHECK(pieces(Pattern::qwen2, "It'S 1234") == Strings{"It", "'S", " ", "1", "2", "3", "4"});
  CHECK(pieces(Pattern::llama3, "It'S 1234") == Strings{"It", "'S", " ", "123", "4"});
  CHECK(pieces(Pattern::llama3, "f(x):\n\n    return") == Strings{"f", "(x", "):\n\n", "   ", " return"});
  CHECK(pieces(Pattern::llama3, "a \n \n  b") == Strings{"a", " \n \n", " ", " b"});
  CHECK(pieces(Pattern::llama3, "\tx\ny") == Strings{"\tx", "\n", "y"});
  CHECK(pieces(Pattern::llama3, "'\u017F 'x") == Strings{"'\u017F", " '", "x"});  // long s folds to s
  CHECK(pieces(Pattern::llama3, "'\u017Fa") == Strings{"'\u017F", "a"});
  CHECK(pieces(Pattern::llama3, "你好。é") == Strings{"你好", "。é"});
}

TEST_CASE("digits stand alone, one by one or in runs") {
  CHECK(pieces(Pattern::digits, "ab12 ½c") == Strings{"ab", "1", "2", " ", "½", "c"});
  CHECK(pieces(Pattern::digit_runs, "ab12 ½c") == Strings{"ab", "12", " ", "½", "c"});
}
