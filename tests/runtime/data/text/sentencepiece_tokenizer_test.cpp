#include "runtime/data/text/sentencepiece_tokenizer.h"

#include <doctest/doctest.h>

#include "tests/runtime/data/text/tokenizer_goldens.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kSentencePieces = "tests/goldens/tokenizer/sentencepiece";

// A folder with the golden model and its added tokens, and this tokenizer_config.json.
class Folder {
 public:
  explicit Folder(const std::string& config) {
    for (const char* name : {"tokenizer.model", "added_tokens.json"})
      scratch_.write(name, contents_of(kSentencePieces + "/" + name));
    scratch_.write("tokenizer_config.json", config);
  }
  std::unique_ptr<Tokenizer> read() const { return read_tokenizer(scratch_.path()); }
  const ScratchFolder& scratch() const { return scratch_; }

 private:
  ScratchFolder scratch_;
};

std::vector<i64> ids(const Folder& folder, const std::string& text) {
  EncodeCache cache;
  return folder.read()->encode(text, cache).ids;
}

}  // namespace

TEST_CASE("ids equal those of the sentencepiece library between special tokens") {
  const Json cases = read_json_file("tests/goldens/tokenizer/sentencepiece.json");
  REQUIRE(cases.size() == 2);
  for (const Json& one : cases) {
    const bool legacy = one["legacy"];
    CAPTURE(legacy);
    const Folder folder(Json{{"legacy", legacy}}.dump());
    const auto tokenizer = folder.read();
    EncodeCache cache;
    for (const Json& entry : one["texts"]) {
      const std::string text = entry[0];
      CAPTURE(text);
      CHECK(tokenizer->encode(text, cache, false).ids == entry[1].get<std::vector<i64>>());
    }
    check_code_points(*tokenizer, one["code_points"]);
  }
}

TEST_CASE("a folder with only a tokenizer.model takes names from the model, and adds BOS") {
  const auto tokenizer = read_tokenizer(kSentencePieces);
  CHECK(tokenizer->vocab_size() == 482);
  CHECK(tokenizer->bos() == 1);
  CHECK(tokenizer->eos() == 2);
  CHECK(!tokenizer->pad());
  CHECK(tokenizer->id_of("<image>") == 480);
  CHECK(tokenizer->token(481) == "<pad>");
  CHECK(tokenizer->is_special(1));
  CHECK(!tokenizer->is_special(480));  // added_tokens.json does not say so
  EncodeCache cache;
  CHECK(tokenizer->encode("<image>", cache).ids == std::vector<i64>{1, 480});
  CHECK(tokenizer->encode("<image>", cache, false).ids == std::vector<i64>{480});
}

TEST_CASE("tokenizer_config.json names special tokens and says which are added") {
  CHECK(ids(Folder(R"({"add_bos_token": false})"), "</s>") == std::vector<i64>{2});
  CHECK(ids(Folder(R"({"add_eos_token": true})"), "<image>") == std::vector<i64>{1, 480, 2});
  const Folder folder(R"({"pad_token": "<pad>", "bos_token": null, "additional_special_tokens": ["<image>"],
      "added_tokens_decoder": {"482": {"content": "<more>", "special": true, "rstrip": true}}})");
  const auto tokenizer = folder.read();
  CHECK(tokenizer->pad() == 481);
  CHECK(!tokenizer->bos());
  CHECK(tokenizer->is_special(480));
  CHECK(tokenizer->is_special(482));
  EncodeCache cache;
  const Encoding encoding = tokenizer->encode("<more>  <image>", cache);
  CHECK(encoding.ids == std::vector<i64>{482, 480});
  CHECK(encoding.spans == std::vector<ByteSpan>{{0, 8}, {8, 15}});
  const Failure failure = failure_of([] { Folder(R"({"bos_token": "<none>"})").read(); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, "bos_token \"<none>\" is neither in tokenizer.model nor an added token"));
}

TEST_CASE("spans are bytes of the text, a prefix space has none of its own") {
  for (const char* legacy : {"true", "false"}) {
    const auto tokenizer = Folder(fmt::format(R"({{"legacy": {}}})", legacy)).read();
    EncodeCache cache;
    const std::string text = "a<image>\xF0\x9F\xA6\x8A\xF0\x9F\xA6\x8A b</s>";  // a fox has no piece
    const Encoding encoding = tokenizer->encode(text, cache, false);
    REQUIRE(encoding.spans.size() == encoding.ids.size());
    i64 at = 0;
    std::string fallen_back;
    for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
      CHECK(encoding.spans[i].begin == at);
      at = encoding.spans[i].end;
      if (tokenizer->token(encoding.ids[i]).starts_with("<0x")) {
        CHECK(encoding.spans[i].end == encoding.spans[i].begin + 1);
        fallen_back += text[static_cast<std::size_t>(encoding.spans[i].begin)];
      }
    }
    CHECK(at == static_cast<i64>(text.size()));
    CHECK(fallen_back == "\xF0\x9F\xA6\x8A\xF0\x9F\xA6\x8A");
  }
}

TEST_CASE("decoding gives the text back, special tokens as they are written") {
  for (const char* legacy : {"true", "false"}) {
    const auto tokenizer = Folder(fmt::format(R"({{"legacy": {}}})", legacy)).read();
    EncodeCache cache;
    const std::vector<i64> encoded = tokenizer->encode("Hello, 你 <image>two words</s>", cache).ids;
    CHECK(tokenizer->decode(encoded, false) == "<s>Hello, 你 <image>two words</s>");
    CHECK(tokenizer->decode(encoded, true) == "Hello, 你 <image>two words");
    CHECK_THROWS_AS(tokenizer->decode(std::vector<i64>{482}, true), Error);
  }
}

TEST_CASE("what the fingerprint says changes with the files") {
  CHECK(Folder("{}").read()->fingerprint() == Folder("{}").read()->fingerprint());
  CHECK(Folder("{}").read()->fingerprint() != Folder(R"({"legacy": false})").read()->fingerprint());
  CHECK(Folder("{}").read()->fingerprint() == Folder(R"({"chat_template": "x"})").read()->fingerprint());
}

TEST_CASE("a folder without a tokenizer, and a file that is no model, are refused") {
  const ScratchFolder scratch;
  const Failure none = failure_of([&] { read_tokenizer(scratch.path()); });
  CHECK(none.code == ExitCode::missing_input);
  CHECK(contains(none.message, "no tokenizer.json, no vocab.json with merges.txt and no tokenizer.model"));
  scratch.write("tokenizer.model", "nothing of the kind");
  const Failure bad = failure_of([&] { read_tokenizer(scratch.path()); });
  CHECK(bad.code == ExitCode::bad_data);
  CHECK(contains(bad.message, "tokenizer.model: not a SentencePiece model"));
  scratch.write("tokenizer.json", contents_of("tests/goldens/llava-clip-llama/model/tokenizer.json"));
  CHECK(read_tokenizer(scratch.path())->vocab_size() == 782);  // where both are there
}
