#include "runtime/data/pretokenize.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

#include "runtime/base/error.h"

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

ExitCode code_of(const char* description, std::string* message = nullptr) {
  try {
    PreTokenizer(nlohmann::json::parse(description), "t.json");
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code();
  }
  return ExitCode::done;
}

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

TEST_CASE("a prefix space belongs to the first piece and to no byte of the text") {
  const PreTokenizer tokenizer(
      nlohmann::json::parse(R"({"type": "ByteLevel", "add_prefix_space": true, "use_regex": true})"), "t");
  std::vector<Piece> out;
  tokenizer.split("ab cd", out);
  REQUIRE(out.size() == 2);
  CHECK((out[0].prefixed && out[0].begin == 0 && out[0].end == 2));
  CHECK((!out[1].prefixed && out[1].begin == 2 && out[1].end == 5));
  tokenizer.split(" ab", out);
  REQUIRE(out.size() == 1);
  CHECK(!out[0].prefixed);
  tokenizer.split("\nx", out);  // " \n", "x" would be wrong: \s+(?!\S) leaves the line break
  REQUIRE(out.size() == 3);
  CHECK((out[0].prefixed && out[0].begin == 0 && out[0].end == 0));
  CHECK((out[1].begin == 0 && out[1].end == 1));
  tokenizer.split("", out);
  CHECK(out.empty());
}

TEST_CASE("a pattern that explodes is stopped by the match limit") {
  const PreTokenizer tokenizer(nlohmann::json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})"),
                               "t.json");
  std::vector<Piece> out;
  tokenizer.split("aaaa", out);
  CHECK(out.size() == 1);
  CHECK_THROWS_WITH_AS(tokenizer.split(std::string(40, 'a') + "b", out),
                       doctest::Contains("t.json: the pattern (a+)+$"), Error);
}

TEST_CASE("what is not supported is refused by its name") {
  std::string message;
  CHECK(code_of(R"({"type": "Metaspace"})", &message) == ExitCode::bad_data);
  CHECK(message.find("\"Metaspace\"") != std::string::npos);
  CHECK(code_of(R"({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "ByteLevel"}]})",
                &message) == ExitCode::bad_data);
  CHECK(message.find("\"Whitespace\"") != std::string::npos);
  CHECK(code_of(R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})") ==
        ExitCode::bad_data);
  CHECK(code_of(R"({"type": "Digits", "individual_digits": true})", &message) == ExitCode::bad_data);
  CHECK(message.find("no ByteLevel") != std::string::npos);
  CHECK(code_of(R"({"type": "Split", "pattern": {"Regex": "a("}, "behavior": "Isolated"})", &message) ==
        ExitCode::bad_data);
  CHECK(message.find("at byte 2") != std::string::npos);
  CHECK(code_of(R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed"})", &message) ==
        ExitCode::bad_data);
  CHECK(message.find("\"Removed\"") != std::string::npos);
  CHECK(code_of(R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolated"})") ==
        ExitCode::bad_data);
  CHECK(code_of("null") == ExitCode::bad_data);
  CHECK(code_of(R"({"type": "ByteLevel", "use_regex": 1})") == ExitCode::bad_data);
  CHECK(code_of(R"({"type": "ByteLevel"})") == ExitCode::done);
}
