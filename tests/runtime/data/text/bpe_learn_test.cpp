#include "runtime/data/text/bpe_learn.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/chat/chat_source.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::vector<std::string> kSpecial{"<unk>", "<s>", "</s>", "<pad>", "<image>"};

std::vector<std::string> learned_pieces(const BpeVocabulary& vocabulary) {
  return {vocabulary.tokens.begin() + vocabulary.special_tokens + 256, vocabulary.tokens.end()};
}

}  // namespace

TEST_CASE("the most frequent pair is merged first, of equal ones that with the smallest ids") {
  // ab: 3, bc: 2, xy: 3; a < x. Then abc (2) before anything else is left.
  const std::vector<std::string> texts{"abc", "abc", "ab", "xy", "xy", "xy"};
  const BpeVocabulary vocabulary = learn_bpe(texts, 256 + 3, {});
  CHECK(learned_pieces(vocabulary) == std::vector<std::string>{"ab", "xy", "abc"});
  const i64 a = 'a' - '!', b = 'b' - '!', c = 'c' - '!', x = 'x' - '!', y = 'y' - '!';
  CHECK(vocabulary.merges == std::vector<std::pair<i64, i64>>{{a, b}, {x, y}, {256, c}});
}

TEST_CASE("pairs do not reach over the pieces of the GPT-2 pattern or special tokens") {
  const std::vector<std::string> texts{"a b a b a b", "a<s>b", "a<s>b", "1a 1a 1a"};
  const BpeVocabulary vocabulary = learn_bpe(texts, 400, kSpecial);
  CHECK(learned_pieces(vocabulary) == std::vector<std::string>{"Ġb", "Ġ1", "Ġa"});
}

TEST_CASE("the order of the texts does not matter") {
  std::vector<std::string> texts{"the cat sat", "on the mat", "that the cat", "hat chat that",
                                 "aaaa aaa aaaaaaa"};
  const BpeVocabulary one = learn_bpe(texts, 300, kSpecial);
  std::reverse(texts.begin(), texts.end());
  const BpeVocabulary other = learn_bpe(texts, 300, kSpecial);
  CHECK(one.tokens == other.tokens);
  CHECK(one.merges == other.merges);
  CHECK(one.tokens.size() > 265);
}

TEST_CASE("the vocabulary equals that of the BpeTrainer of the tokenizers library") {
  const Json expected = read_json_file("tests/goldens/tokenizer/learned.json");
  const BpeVocabulary vocabulary =
      learn_bpe(expected["texts"].get<std::vector<std::string>>(), expected["vocab_size"], kSpecial);
  CHECK(vocabulary.tokens == expected["tokens"].get<std::vector<std::string>>());
  std::vector<std::pair<std::string, std::string>> merges;
  for (const auto& [left, right] : vocabulary.merges) {
    merges.emplace_back(vocabulary.tokens[static_cast<std::size_t>(left)],
                        vocabulary.tokens[static_cast<std::size_t>(right)]);
  }
  CHECK(merges == expected["merges"].get<std::vector<std::pair<std::string, std::string>>>());
}

TEST_CASE("the written files are read back: ids, names of special tokens and the chat format") {
  const ScratchFolder folder;
  const std::vector<std::string> texts{"USER: name it", "ASSISTANT: grinning face", "grinning cat face",
                                       "naïve 😀"};
  const BpeVocabulary vocabulary = learn_bpe(texts, 290, kSpecial);
  write_tokenizer(folder.path(), vocabulary, {.chat_template = chat_by_name("llava").program});
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(folder.path());
  CHECK(tokenizer.vocab_size() == static_cast<i64>(vocabulary.tokens.size()));
  CHECK(tokenizer.bos() == 1);
  CHECK(tokenizer.eos() == 2);
  CHECK(tokenizer.pad() == 3);
  CHECK(tokenizer.id_of("<image>") == 4);
  EncodeCache cache;
  const Encoding encoding = tokenizer.encode("<image> grinning", cache);
  CHECK(encoding.ids[0] == 1);  // <s> in front
  CHECK(encoding.ids[1] == 4);
  REQUIRE(encoding.ids.size() == 3);
  CHECK(tokenizer.token(encoding.ids[2]) == "Ġgrinning");
  CHECK(tokenizer.decode(encoding.ids, true) == " grinning");
  CHECK(chat_of_folder(folder.path())->program == chat_by_name("llava").program);
  CHECK(contents_of(folder / "chat_template.jinja") == chat_by_name("llava").program);
  CHECK(read_json_file(folder / "tokenizer_config.json")["chat_template"] == chat_by_name("llava").program);
  CHECK(read_json_file(folder / "special_tokens_map.json")["unk_token"] == "<unk>");

  const ScratchFolder bare;
  write_tokenizer(bare.path(), vocabulary, {.bos = "", .pad = "", .add_bos = false, .chat_template = ""});
  const BpeTokenizer plain = BpeTokenizer::from_folder(bare.path());
  CHECK(plain.encode("x", cache).ids.size() == 1);
  CHECK(!plain.bos());
  CHECK(!plain.pad());
  CHECK_FALSE(chat_of_folder(bare.path()).has_value());
}

TEST_CASE("learning and writing refuse what cannot work") {
  const std::vector<std::string> texts{"a"};
  const std::vector<std::string> twice{"<s>", "<s>"}, letter{"!"}, bad{"ok", "\xFF"};
  CHECK(
      failure_of([&] { learn_bpe(texts, 260, kSpecial); }) ==
      Failure{ExitCode::usage, "a vocabulary of 260 tokens has no room for 256 bytes and 5 special tokens"});
  CHECK(failure_of([&] { learn_bpe(texts, 300, twice); }).message == "the special token <s> is given twice");
  CHECK(failure_of([&] { learn_bpe(texts, 300, letter); }).code == ExitCode::usage);
  CHECK(failure_of([&] { learn_bpe(bad, 300, kSpecial); }) ==
        Failure{ExitCode::bad_data, "text 1 is not UTF-8 at byte 0"});
  CHECK(learn_bpe(texts, 300, kSpecial).tokens.size() == 261);  // no pair to merge

  const ScratchFolder folder;
  const BpeVocabulary vocabulary = learn_bpe(texts, 300, kSpecial);
  CHECK(failure_of([&] { write_tokenizer(folder.path(), vocabulary, {.bos = "<bos>"}); }) ==
        Failure{ExitCode::usage, "bos_token <bos> is not among the special tokens"});
  CHECK(failure_of([&] { write_tokenizer(folder / "none", vocabulary, {}); }).code == ExitCode::cannot_write);
}
