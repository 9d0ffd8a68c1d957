// Tokens that are recognised at certain places of a text alone.
#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

// Parts of a text, with null where <image> stands for a picture.
struct Spoken {
  std::string text;
  std::vector<ByteSpan> places;

  explicit Spoken(const Json& parts) {
    for (const Json& part : parts) {
      const auto begin = static_cast<i64>(text.size());
      text += part.is_null() ? "<image>" : part.get<std::string>();
      if (part.is_null()) places.push_back({begin, static_cast<i64>(text.size())});
    }
  }
};

}  // namespace

TEST_CASE(
    "<image> as words has the ids of the tokenizers library without that token, at places it is the token") {
  for (const Json& one : read_json_file("tests/goldens/tokenizer/words.json")) {
    const std::string folder = one["folder"];
    Json json = read_json_file("tests/goldens/" + folder + "/tokenizer.json");
    json.merge_patch(one["patch"]);
    const BpeTokenizer tokenizer(json, Json::object(), folder);
    const std::vector<i64> image{*tokenizer.id_of("<image>")};
    EncodeCache cache;
    for (const Json& entry : one["texts"]) {
      const Spoken spoken(entry[0]);
      CAPTURE(folder);
      CAPTURE(spoken.text);
      const Encoding got =
          tokenizer.encode(spoken.text, cache, false, {.ids = image, .places = spoken.places});
      CHECK(got.ids == entry[1].get<std::vector<i64>>());
      REQUIRE(got.spans.size() == got.ids.size());
      CHECK(got.spans.back().end == static_cast<i64>(spoken.text.size()));
    }
  }
}

TEST_CASE("a SentencePiece tokenizer does the same") {
  const std::string golden = "tests/goldens/tokenizer/sentencepiece";
  for (const char* config : {R"({"legacy": true})", R"({"legacy": false})"}) {
    ScratchFolder with, without;
    for (ScratchFolder* folder : {&with, &without}) {
      folder->write("tokenizer.model", contents_of(golden + "/tokenizer.model"));
      folder->write("tokenizer_config.json", config);
    }
    with.write("added_tokens.json", R"({"<image>": 480, "<pad>": 481})");
    without.write("added_tokens.json", R"({"<place>": 480, "<pad>": 481})");
    const auto tokenizer = read_tokenizer(with.path()), reference = read_tokenizer(without.path());
    EncodeCache cache;
    for (const char* parts :
         {R"(["<image>"])", R"(["a <image> b ", null, "<image>"])", R"([null, "x<image>", null])"}) {
      const Json spoken_parts = Json::parse(parts);
      const Spoken spoken(spoken_parts);
      std::string other;
      for (const Json& part : spoken_parts) other += part.is_null() ? "<place>" : part.get<std::string>();
      CAPTURE(spoken.text);
      const std::vector<i64> image{480};
      CHECK(tokenizer->encode(spoken.text, cache, true, {.ids = image, .places = spoken.places}).ids ==
            reference->encode(other, cache).ids);
    }
  }
}

TEST_CASE("without the placed token a shorter one that the text spells there is found") {
  const Json json =
      Json::parse(R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "<": 3}, "merges": []},
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "added_tokens": [
      {"id": 4, "content": "ab", "special": true}, {"id": 5, "content": "abc", "special": true}]})");
  const BpeTokenizer tokenizer(json, Json::object(), "t");
  EncodeCache cache;
  const std::vector<i64> placed{5};
  const std::vector<ByteSpan> second{{3, 6}};
  CHECK(tokenizer.encode("abcabc", cache).ids == std::vector<i64>{5, 5});
  CHECK(tokenizer.encode("abcabc", cache, true, {.ids = placed, .places = second}).ids ==
        std::vector<i64>{4, 2, 5});
}
