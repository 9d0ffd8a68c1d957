#include "runtime/data/text/bpe_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include <doctest/doctest.h>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/data/text/byte_alphabet.h"
#include "tests/runtime/data/text/tokenizer_goldens.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const char* const kTokenizers = "tests/goldens/llava-clip-llama/model";

Json base_tokenizer() {
  return read_json_file(std::string(kTokenizers) + "/tokenizer.json");
}

// The message of the error that reading `patch` over the base tokenizer gives; empty if there is none.
std::string patch_refusal(const Json& patch) {
  Json json = base_tokenizer();
  json.merge_patch(patch);
  try {
    BpeTokenizer(json, Json::object(), "t.json");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_data);
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("ids and decoded text equal those of the tokenizers library, for every kind of tokenizer.json") {
  const Json cases = read_json_file("tests/goldens/tokenizer/cases.json");
  REQUIRE(cases.size() >= 14);
  for (const Json& one : cases) {
    const std::string name = one["name"];
    CAPTURE(name);
    Json json = base_tokenizer();
    json.merge_patch(one["patch"]);
    check_texts(BpeTokenizer(json, Json::object(), name), one);
  }
}

TEST_CASE("token spans cover the text, one behind the other") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kTokenizers);
  EncodeCache cache;
  const std::string text = "USER: <image>\nnaïve 😀 test</s> a much longer word: " + std::string(100, 'e');
  const Encoding encoding = tokenizer.encode(text, cache);
  REQUIRE(encoding.ids.size() == encoding.spans.size());
  CHECK(encoding.ids[0] == *tokenizer.bos());
  CHECK(encoding.spans[0] == ByteSpan{0, 0});
  i64 at = 0;
  for (std::size_t i = 1; i < encoding.ids.size(); ++i) {
    CHECK(encoding.spans[i].begin == at);
    at = encoding.spans[i].end;
    // Its bytes are those of the text, also where they are part of a character.
    const std::string bytes = text.substr(static_cast<std::size_t>(encoding.spans[i].begin),
                                          static_cast<std::size_t>(at - encoding.spans[i].begin));
    CHECK(tokenizer.token(encoding.ids[i]) ==
          (tokenizer.is_special(encoding.ids[i]) ? bytes : to_alphabet(bytes)));
  }
  CHECK(at == static_cast<i64>(text.size()));
}

TEST_CASE("spans count bytes of the text as it was before NFC, stripping and prefix spaces") {
  Json json = base_tokenizer();
  json.merge_patch(Json::parse(
      R"({"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true}})"));
  json["added_tokens"].push_back(
      Json::parse(R"({"id": 782, "content": "<x>", "lstrip": true, "normalized": false, "special": true})"));
  const BpeTokenizer tokenizer(json, Json::object(), "t");
  EncodeCache cache;
  const std::string text = "e\u0301  <x>b";  // é is written with three bytes and read as two
  const Encoding encoding = tokenizer.encode(text, cache, false);
  const std::size_t x = static_cast<std::size_t>(std::find(encoding.ids.begin(), encoding.ids.end(), 782) -
                                                 encoding.ids.begin());
  REQUIRE(x + 1 < encoding.ids.size());
  CHECK(encoding.spans[x] == ByteSpan{3, 8});  // with the two spaces in front of it
  CHECK(encoding.spans[0].begin == 0);
  CHECK(encoding.spans[x - 1].end == 3);
  CHECK(encoding.spans.back() == ByteSpan{8, 9});
}

TEST_CASE(
    "of equal merges the leftmost comes first, and a merge undone by a better one is not made, in short and "
    "long words") {
  Json json = base_tokenizer();
  json["pre_tokenizer"] =
      Json::parse(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})");
  json["model"]["merges"] = Json::parse(R"([["b", "c"], ["a", "b"], ["a", "a"]])");
  for (const auto& [piece, id] : {std::pair("bc", 782), std::pair("ab", 783), std::pair("aa", 784)}) {
    json["model"]["vocab"].erase(piece);
    json["model"]["vocab"][piece] = id;
  }
  const BpeTokenizer tokenizer(json, Json::object(), "t");
  EncodeCache cache;
  const i64 a = *tokenizer.id_of("a");
  for (const int count : {5, 25, 40}) {
    std::string as, abcs;
    std::vector<i64> pairs, alternating;
    for (int i = 0; i < count; ++i) {
      as += "aa";
      abcs += "abc";
      pairs.push_back(784);
      alternating.insert(alternating.end(), {a, 782});
    }
    pairs.push_back(a);
    CAPTURE(count);
    CHECK(tokenizer.encode(as + "a", cache, false).ids == pairs);
    CHECK(tokenizer.encode(abcs, cache, false).ids == alternating);
  }
}

TEST_CASE("a cache serves several tokenizers one after the other, and threads with a cache each agree") {
  const BpeTokenizer one = BpeTokenizer::from_folder(kTokenizers);
  Json json = base_tokenizer();
  json["model"]["merges"] = Json::array();
  const BpeTokenizer bytes(json, Json::object(), "t");
  EncodeCache cache;
  const std::string text = "the quick brown fox jumps over the lazy dog";
  const std::vector<i64> expected = one.encode(text, cache).ids;
  CHECK(bytes.encode(text, cache).ids.size() == text.size() + 1);
  CHECK(one.encode(text, cache).ids == expected);
  CHECK(one.fingerprint() != bytes.fingerprint());

  std::vector<std::vector<i64>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&one, &result, &text] {
      EncodeCache own;
      for (int i = 0; i < 50; ++i) result = one.encode(text, own).ids;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) CHECK(result == expected);
}

TEST_CASE("names of special tokens come from tokenizer_config.json") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kTokenizers);
  CHECK(tokenizer.bos() == 1);
  CHECK(tokenizer.eos() == 2);
  CHECK(tokenizer.pad() == 781);
  CHECK(tokenizer.vocab_size() == 782);
  CHECK(tokenizer.id_of("<image>") == 780);
  CHECK(tokenizer.id_of("nothing of the kind") == std::nullopt);
  CHECK(tokenizer.token(780) == "<image>");
  CHECK(tokenizer.is_special(780));
  CHECK(!tokenizer.is_special(100));
  const BpeTokenizer as_object(base_tokenizer(),
                               Json::parse(R"({"bos_token": {"content": "</s>"}, "pad_token": null})"), "t");
  CHECK(as_object.bos() == 2);
  CHECK(!as_object.pad());
}

TEST_CASE(
    "tokenizer_config.json wins about tokens around a text, and about added tokens, as in transformers") {
  const auto ids = [](const char* config) {
    EncodeCache cache;
    return BpeTokenizer(base_tokenizer(), Json::parse(config), "t").encode("a<new>", cache).ids;
  };
  const i64 a = base_tokenizer()["model"]["vocab"]["a"];
  CHECK(ids("{}").front() == 1);
  const std::string more = R"("added_tokens_decoder": {"782": {"content": "<new>", "special": true}})";
  CHECK(ids(("{" + more + "}").c_str()) == std::vector<i64>{1, a, 782});
  const std::string names = more + R"(, "bos_token": "<s>", "eos_token": "</s>")";
  CHECK(ids(("{" + names + R"(, "add_bos_token": false})").c_str()) == std::vector<i64>{a, 782});
  CHECK(ids(("{" + names + R"(, "add_eos_token": true})").c_str()) == std::vector<i64>{a, 782, 2});
  CHECK(ids(("{" + names + R"(, "add_bos_token": true, "add_eos_token": true})").c_str()) ==
        std::vector<i64>{1, a, 782, 2});
  CHECK_THROWS_WITH(ids(R"({"added_tokens_decoder": {"7x": {"content": "<new>"}}})"),
                    "t: added_tokens_decoder: 7x is not a token id");
}

TEST_CASE("special tokens that only tokenizer_config.json names are tokens, as transformers adds them") {
  const Json config = Json::parse(
      R"({"unk_token": "<odd>", "image_token": "<pic>", "bos_token": {"content": "<s>", "lstrip": false},
          "additional_special_tokens": ["<|loc|>", "<image>"], "extra_special_tokens": {"a": "a"}})");
  const BpeTokenizer tokenizer(base_tokenizer(), config, "t");
  CHECK(tokenizer.id_of("<odd>") == 782);  // behind the largest id, in the order of roles
  CHECK(tokenizer.id_of("<pic>") == 783);
  CHECK(tokenizer.id_of("<|loc|>") == 784);
  CHECK(tokenizer.vocab_size() == 785);
  const i64 a = base_tokenizer()["model"]["vocab"]["a"];
  EncodeCache cache;
  CHECK(tokenizer.encode("<|loc|>a<odd>", cache).ids == std::vector<i64>{1, 784, a, 782});
  CHECK(tokenizer.is_special(a));  // a piece keeps its id
  CHECK(tokenizer.is_special(784));
  CHECK(tokenizer.fingerprint() != BpeTokenizer(base_tokenizer(), Json::object(), "t").fingerprint());
}

TEST_CASE("beside a tokenizer.json its post-processor says what stands around a text") {
  const auto with = [](const Json& more) {
    const ScratchFolder folder;
    std::filesystem::copy_file(std::string(kTokenizers) + "/tokenizer.json", folder / "tokenizer.json");
    Json config = read_json_file(std::string(kTokenizers) + "/tokenizer_config.json");
    config.update(more);
    folder.write("tokenizer_config.json", config.dump());
    EncodeCache cache;
    return read_tokenizer(folder.path())->encode("a", cache).ids;
  };
  const std::vector<i64> usual = with(Json::object());
  CHECK(usual.front() == 1);
  CHECK(with({{"add_eos_token", true}}) == usual);
  CHECK(with({{"add_bos_token", false}}) == usual);
  const auto refused = [&](const Json& more) { return failure_of([&] { with(more); }).message; };
  CHECK(contains(refused({{"split_special_tokens", true}}),
                 "split_special_tokens = true in tokenizer_config.json"));
  CHECK(contains(refused({{"tokenizer_class", "GPT2Tokenizer"}, {"add_prefix_space", true}}),
                 "ByteLevel has add_prefix_space = false, and tokenizer_config.json says true"));
  CHECK(with({{"tokenizer_class", "PreTrainedTokenizerFast"}, {"add_prefix_space", true}}) == usual);
}

TEST_CASE("decoding skips special tokens when asked, and refuses ids that no token has") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kTokenizers);
  EncodeCache cache;
  const std::vector<i64> ids = tokenizer.encode("Yes 😀.</s>", cache).ids;
  CHECK(tokenizer.decode(ids, true) == "Yes 😀.");
  CHECK(tokenizer.decode(ids, false) == "<s>Yes 😀.</s>");
  CHECK_THROWS_AS(tokenizer.decode(std::vector<i64>{782}, true), Error);
  CHECK_THROWS_AS(tokenizer.decode(std::vector<i64>{-1}, true), Error);
}

TEST_CASE("text that is not UTF-8 is refused with the place") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kTokenizers);
  EncodeCache cache;
  CHECK_THROWS_WITH_AS(tokenizer.encode("abc\xFF", cache), "text is not UTF-8 at byte 3", Error);
}

TEST_CASE("a byte without a token is the unknown token, or an error if there is none") {
  Json json = base_tokenizer();
  json["pre_tokenizer"] =
      Json::parse(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})");
  json["model"]["merges"] = Json::array();
  json["model"]["vocab"].erase("!");
  json["model"]["vocab"]["never written"] = 3;
  EncodeCache cache;
  CHECK_THROWS_WITH_AS(BpeTokenizer(json, Json::object(), "t").encode("a!", cache),
                       "the tokenizer has no token for byte 0x21 and no unk_token", Error);
  json["model"]["unk_token"] = "<unk>";
  const auto ids = [&] { return BpeTokenizer(json, Json::object(), "t").encode("!!a!", cache, false).ids; };
  const i64 a = json["model"]["vocab"]["a"];
  CHECK(ids() == std::vector<i64>{0, 0, a, 0});
  json["model"]["fuse_unk"] = true;
  CHECK(ids() == std::vector<i64>{0, a, 0});
  const Encoding fused = BpeTokenizer(json, Json::object(), "t").encode("!!a!", cache, false);
  CHECK(fused.spans == std::vector<ByteSpan>{{0, 2}, {2, 3}, {3, 4}});
}

TEST_CASE("a tokenizer.json with parts that are not supported or do not fit is refused by name") {
  CHECK(patch_refusal(Json::object()).empty());
  CHECK(contains(patch_refusal({{"model", {{"type", "Unigram"}}}}), "t.json: model type Unigram"));
  CHECK(contains(patch_refusal({{"model", {{"byte_fallback", true}}}}), "byte_fallback behind a ByteLevel"));
  CHECK(contains(patch_refusal({{"model", {{"dropout", 0.1}}}}), "dropout 0.1"));
  CHECK(patch_refusal({{"model", {{"dropout", 0.0}, {"continuing_subword_prefix", ""}}}}).empty());
  CHECK(
      contains(patch_refusal({{"model", {{"end_of_word_suffix", "</w>"}}}}), "end_of_word_suffix \"</w>\""));
  CHECK(contains(patch_refusal({{"model", {{"unk_token", "nothing"}}}}), "unk_token \"nothing\""));
  CHECK(contains(patch_refusal({{"normalizer", {{"type", "Lowercase"}}}}), "normalizer: type Lowercase"));
  CHECK(
      contains(patch_refusal({{"normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "NFKC"}}}}}}}),
               "NFKC"));
  CHECK(contains(patch_refusal({{"pre_tokenizer", {{"type", "Whitespace"}}}}),
                 "pre_tokenizer: type Whitespace"));
  CHECK(contains(patch_refusal({{"decoder", {{"type", "WordPiece"}}}}), "decoder: type WordPiece"));
  CHECK(contains(patch_refusal({{"post_processor", {{"type", "RobertaProcessing"}}}}), "RobertaProcessing"));
  CHECK(contains(
      patch_refusal({{"post_processor",
                      {{"type", "TemplateProcessing"},
                       {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                       {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {7000}}}}}}}}}),
      "\"<s>\" has the id 7000, which no token has"));
  CHECK(contains(patch_refusal({{"model", {{"merges", {{"a"}}}}}}), "merge 0 ([\"a\"]) is not a pair"));
  CHECK(contains(patch_refusal({{"model", {{"merges", {"a b c"}}}}}), "is not a pair"));
  CHECK(contains(patch_refusal({{"model", {{"merges", {"a \u4f60"}}}}}), "which is not in the vocab"));
  CHECK(
      contains(patch_refusal({{"model", {{"merges", {"q q"}}}}}), "needs \"qq\", which is not in the vocab"));
  CHECK(contains(patch_refusal({{"model", {{"vocab", {{"new", 5}}}}}}), "have the same id 5"));
  CHECK(contains(patch_refusal({{"model", {{"vocab", {{"new", -1}}}}}}), "has the id -1, outside of 0"));
  CHECK(contains(patch_refusal({{"model", {{"vocab", {{"new", 1 << 30}}}}}}), "outside of 0"));
  CHECK(contains(patch_refusal({{"model", {{"vocab", {{"new", 1.5}}}}}}), "\"new\": 1.5 is not a token id"));
  CHECK(contains(patch_refusal({{"added_tokens", {{{"id", 9}, {"content", "<s>"}}}}}), "\"<s>\""));
  CHECK(contains(patch_refusal({{"added_tokens", {{{"id", 1}}}}}), "needs content and id"));
  CHECK(contains(patch_refusal({{"model", nullptr}}), "not a tokenizer.json"));
}

TEST_CASE("a folder without tokenizer.json is a missing input") {
  try {
    BpeTokenizer::from_folder("tests/goldens/tokenizer");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::missing_input);
  }
}
