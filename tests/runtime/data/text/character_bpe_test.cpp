// BPE over characters with byte fallback, as Llama-2, Mistral and Gemma have it in their tokenizer.json.
#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "tests/runtime/data/text/tokenizer_goldens.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

Json base() {
  return read_json_file("tests/goldens/tokenizer/families/paligemma/tokenizer.json");
}

BpeTokenizer patched(const char* patch) {
  Json json = base();
  json.merge_patch(Json::parse(patch));
  return BpeTokenizer(json, Json::object(), "t.json");
}

const char* const kLlama = R"({"pre_tokenizer": null, "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}})";

}  // namespace

TEST_CASE("ids and decoded text equal those of the tokenizers library, for BPE over characters") {
  const Json cases = read_json_file("tests/goldens/tokenizer/characters.json");
  REQUIRE(cases.size() >= 13);
  for (const Json& one : cases) {
    const std::string name = one["name"];
    CAPTURE(name);
    Json json = base();
    json.merge_patch(one["patch"]);
    check_texts(BpeTokenizer(json, Json::object(), name), one);
  }
}

TEST_CASE("spans count bytes of the text: a prefix space has none, each byte of a character its own") {
  const BpeTokenizer tokenizer = patched(kLlama);
  EncodeCache cache;
  const std::string text = "你 a";
  const Encoding encoding = tokenizer.encode(text, cache, false);
  std::vector<std::string> tokens;
  for (const i64 id : encoding.ids) tokens.push_back(tokenizer.token(id));
  REQUIRE(tokens == std::vector<std::string>{"▁", "<0xE4>", "<0xBD>", "<0xA0>", "▁a"});
  CHECK(encoding.spans == std::vector<ByteSpan>{{0, 0}, {0, 1}, {1, 2}, {2, 3}, {3, 5}});
}

TEST_CASE("an unknown token covers its character, or all that stand together if they are fused") {
  EncodeCache cache;
  const auto spans = [&](const char* patch) { return patched(patch).encode("a你好a", cache, false).spans; };
  CHECK(spans(R"({"model": {"byte_fallback": false, "fuse_unk": false}})") ==
        std::vector<ByteSpan>{{0, 1}, {1, 4}, {4, 7}, {7, 8}});
  CHECK(spans(R"({"model": {"byte_fallback": false, "fuse_unk": true}})") ==
        std::vector<ByteSpan>{{0, 1}, {1, 7}, {7, 8}});
}

TEST_CASE("bytes of characters without a token are joined by decode, or replaced if they form none") {
  const BpeTokenizer tokenizer = patched("{}");
  const auto id = [&](const char* token) { return tokenizer.id_of(token).value(); };
  CHECK(tokenizer.decode(std::vector<i64>{id("<0xE4>"), id("<0xBD>"), id("<0xA0>")}, true) == "你");
  CHECK(tokenizer.decode(std::vector<i64>{id("<0xE4>"), id("<0xBD>"), id("a")}, true) ==
        "\xEF\xBF\xBD\xEF\xBF\xBD"
        "a");
}

TEST_CASE("a file with byte_fallback that lacks a byte, or with an unknown part, is refused") {
  const auto refusal = [](const char* patch) { return failure_of([&] { patched(patch); }); };
  CHECK(refusal(R"({"model": {"vocab": {"<0x41>": null}}})").code == ExitCode::bad_data);
  CHECK(contains(
      refusal(R"({"normalizer": {"type": "Replace", "pattern": {"String": null, "Regex": "a"}}})").message,
      "t.json: normalizer: Replace with the pattern {\"Regex\":\"a\"} is not supported"));
  CHECK(
      refusal(R"({"decoder": {"type": "CTC"}})").message ==
      "t.json: decoder: type CTC is not supported (ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip "
      "and Sequence are)");
  Json json = base();
  json["model"]["vocab"].erase("<0x41>");
  CHECK(failure_of([&] { BpeTokenizer(json, Json::object(), "t.json"); }) ==
        Failure{ExitCode::bad_data, "t.json: model: byte_fallback, but <0x41> is not in the vocab"});
}
