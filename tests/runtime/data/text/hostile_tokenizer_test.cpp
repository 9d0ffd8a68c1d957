// tokenizer.json files of somebody who means harm: they are refused by name, within bounds of time and
// memory.
#include <limits>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "runtime/data/text/regex_scan.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

// A byte-level tokenizer of the letters a to z, with these parts changed.
Json tokenizer_with(const Json& changes) {
  Json vocab;
  for (char c = 'a'; c <= 'z'; ++c) vocab[std::string(1, c)] = c - 'a';
  Json json{{"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
            {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  json.update(changes);
  return json;
}

BpeTokenizer read(const Json& changes, const Json& config = Json::object()) {
  return {tokenizer_with(changes), config, "t"};
}

Failure refusal(const Json& changes, const Json& config = Json::object()) {
  return failure_of([&] { read(changes, config); });
}

// Doubles every "l", so many times.
Json doublings(const char* type, const char* list, int times) {
  Json steps = Json::array();
  for (int i = 0; i < times; ++i)
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "l"}}}, {"content", "ll"}});
  return {{"type", type}, {list, steps}};
}

}  // namespace

TEST_CASE("an id beyond those of any vocabulary is refused before a table is made for it") {
  for (const i64 id : {i64{1} << 20, i64{1} << 40, std::numeric_limits<i64>::max(), i64{-1}}) {
    CAPTURE(id);
    CHECK(refusal({{"model", {{"type", "BPE"}, {"vocab", {{"a", id}}}, {"merges", Json::array()}}}}).code ==
          ExitCode::bad_data);
    CHECK(refusal({{"added_tokens", {{{"id", id}, {"content", "<x>"}}}}}).code == ExitCode::bad_data);
    // The next free id would be one more.
    CHECK(refusal(Json::object(), {{"added_tokens_decoder", {{std::to_string(id), {{"content", "<x>"}}}}},
                                   {"bos_token", "<s>"}})
              .code == ExitCode::bad_data);
  }
}

TEST_CASE("parts of the wrong type are refused by name") {
  const auto processor = [](const Json& single, const Json& special) {
    return Json{{"post_processor",
                 {{"type", "TemplateProcessing"},
                  {"single", Json::array({single, {{"Sequence", {{"id", "A"}}}}})},
                  {"special_tokens", special}}}};
  };
  CHECK(refusal(processor({{"SpecialToken", 5}}, Json::object())).code == ExitCode::bad_data);
  CHECK(refusal(processor(7, Json::object())).code == ExitCode::bad_data);
  CHECK(refusal(processor({{"SpecialToken", {{"id", "a"}}}}, Json::array())).code == ExitCode::bad_data);
  CHECK(refusal(processor({{"SpecialToken", {{"id", "a"}}}}, {{"a", "b"}})).code == ExitCode::bad_data);
  CHECK(refusal(processor({{"SpecialToken", {{"id", "a"}}}}, {{"a", {{"ids", {0}}}}})).code ==
        ExitCode::done);
  CHECK(refusal({{"decoder", {{"type", "Metaspace"}, {"replacement", ""}}}}).code == ExitCode::bad_data);
}

TEST_CASE("rules that double a text again and again are refused when a text grows by them") {
  EncodeCache cache;
  const BpeTokenizer normalizer = read({{"normalizer", doublings("Sequence", "normalizers", 60)}});
  CHECK(normalizer.encode("abc", cache).ids.size() == 3);
  CHECK(failure_of([&] { normalizer.encode("hello", cache); }).code == ExitCode::bad_data);
  const BpeTokenizer decoder = read({{"decoder", doublings("Sequence", "decoders", 60)}});
  const std::vector<i64> abc{0, 1, 2}, hello{7, 4, 11, 11, 14};
  CHECK(decoder.decode(abc, false) == "abc");
  CHECK(failure_of([&] { decoder.decode(hello, false); }).code == ExitCode::bad_data);
  // Once is as it should be, and long texts may be rewritten too.
  const BpeTokenizer once = read({{"normalizer", doublings("Sequence", "normalizers", 3)}});
  CHECK(once.encode(std::string(100'000, 'l'), cache).ids.size() == 800'000);
  CHECK(refusal({{"normalizer", doublings("Sequence", "normalizers", 1000)}}).code == ExitCode::bad_data);
}

TEST_CASE("a pattern whose match begins behind its end does not stop the scan") {
  std::vector<i64> ends;
  for (const char* pattern : {"(?=ab\\K)", "(?=a\\K)b", "a(?<=\\Ka)", "\\C", "(?|(?=(a\\K))|b)"}) {
    CAPTURE(pattern);
    const Failure failure = failure_of([&] { RegexScan(pattern, "t").scan("abab", ends); });
    CHECK((failure.code == ExitCode::done || failure.code == ExitCode::bad_data));
  }
}
