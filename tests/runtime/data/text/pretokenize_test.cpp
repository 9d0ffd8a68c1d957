#include "runtime/data/text/pretokenize.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "runtime/base/error.h"

using namespace longsight;
using namespace longsight::data;

namespace {

using Strings = std::vector<std::string>;

// The pieces that `description` cuts text into.
Strings pieces(const char* description, const std::string& text) {
  const PreTokenizer tokenizer(nlohmann::json::parse(description), "t.json");
  std::vector<Piece> cut;
  tokenizer.split(text, cut);
  Strings result;
  for (const Piece& piece : cut) {
    CHECK(!piece.prefixed);
    result.push_back(text.substr(static_cast<std::size_t>(piece.begin),
                                 static_cast<std::size_t>(piece.end - piece.begin)));
  }
  return result;
}

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
                       doctest::Contains("t.json: pre_tokenizer: the pattern (a+)+$"), Error);
}

TEST_CASE("a String cuts alone, or stays with its neighbour, of several in a row with one only") {
  const auto split = [](const char* behavior) {
    return fmt::format(R"({{"type": "Split", "pattern": {{"String": "--"}}, "behavior": "{}"}})", behavior);
  };
  const std::string text = "--a----b--";
  CHECK(pieces(split("Isolated").c_str(), text) == Strings{"--", "a", "--", "--", "b", "--"});
  CHECK(pieces(split("MergedWithPrevious").c_str(), text) == Strings{"--", "a--", "--", "b--"});
  CHECK(pieces(split("MergedWithNext").c_str(), text) == Strings{"--a", "--", "--b", "--"});
  CHECK(pieces(split("Isolated").c_str(), "a-b") == Strings{"a-b"});
}

TEST_CASE("Metaspace says what to do with spaces, and cuts in front of each unless told not to") {
  const PreTokenizer always(nlohmann::json::parse(R"({"type": "Metaspace", "replacement": "▁"})"), "t");
  REQUIRE(always.metaspace());
  CHECK(always.metaspace()->space == "▁");
  CHECK(always.metaspace()->prefix == Metaspace::Prefix::always);
  CHECK(!always.byte_level());
  const auto prefix = [](const char* more) {
    return PreTokenizer(
               nlohmann::json::parse(fmt::format(R"({{"type": "Metaspace", "replacement": "_", {}}})", more)),
               "t")
        .metaspace()
        ->prefix;
  };
  CHECK(prefix(R"("prepend_scheme": "first")") == Metaspace::Prefix::first);
  CHECK(prefix(R"("prepend_scheme": "never")") == Metaspace::Prefix::never);
  CHECK(prefix(R"("add_prefix_space": true)") == Metaspace::Prefix::always);  // of older files
  CHECK(prefix(R"("add_prefix_space": false)") == Metaspace::Prefix::never);
  CHECK(pieces(R"({"type": "Metaspace", "replacement": "▁"})", "▁a▁▁b") == Strings{"▁a", "▁", "▁b"});
  CHECK(pieces(R"({"type": "Metaspace", "replacement": "▁", "split": false})", "▁a▁▁b") == Strings{"▁a▁▁b"});
}

TEST_CASE("no pre_tokenizer cuts nothing") {
  CHECK(pieces("null", "a b") == Strings{"a b"});
  CHECK(pieces("null", "").empty());
}

TEST_CASE("what is not supported is refused by its name") {
  std::string message;
  CHECK(code_of(R"({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "ByteLevel"}]})",
                &message) == ExitCode::bad_data);
  CHECK(message ==
        "t.json: pre_tokenizer: type Whitespace is not supported (ByteLevel, Metaspace, Split, Digits and "
        "Sequence are)");
  CHECK(code_of(R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})",
                &message) == ExitCode::bad_data);
  CHECK(message == "t.json: pre_tokenizer: Digits behind ByteLevel is not supported");
  CHECK(code_of(R"({"type": "Sequence", "pretokenizers": [
                     {"type": "Digits"}, {"type": "Metaspace", "replacement": "_"}]})",
                &message) == ExitCode::bad_data);
  CHECK(message == "t.json: pre_tokenizer: Metaspace behind another step is not supported");
  CHECK(code_of(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})", &message) ==
        ExitCode::bad_data);
  CHECK(message.find("prepend_scheme last") != std::string::npos);
  CHECK(code_of(R"({"type": "Split", "pattern": {"Regex": "a("}, "behavior": "Isolated"})", &message) ==
        ExitCode::bad_data);
  CHECK(message.find("at byte 2") != std::string::npos);
  CHECK(code_of(R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed"})", &message) ==
        ExitCode::bad_data);
  CHECK(message.find("Removed") != std::string::npos);
  CHECK(code_of(R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Removed"})", &message) ==
        ExitCode::bad_data);
  CHECK(message.find("Removed") != std::string::npos);
  CHECK(code_of(R"({"type": "ByteLevel", "use_regex": 1})") == ExitCode::bad_data);
  CHECK(code_of(R"({"type": "ByteLevel"})") == ExitCode::done);
}
