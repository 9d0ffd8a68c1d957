#include "runtime/data/chat/tokenize_sample.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/chat/media_text.h"
#include "runtime/data/records/messages.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "runtime/io/safetensors.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kCase = "tests/goldens/llava-clip-llama";
constexpr i64 kImage = 780, kTokensPerImage = 16;  // 56 px, patch 14

std::vector<i64> integers(const io::SafetensorsFile& file, const char* name) {
  const OwnedTensor tensor = file.read(name);
  const Tensor values = tensor;
  return {values.host<i64>(), values.host<i64>() + values.elements()};
}

ChatSample chat(std::string question, std::string answer) {
  return {.where = "f.jsonl:3",
          .id = {},
          .messages = {{.role = Role::user, .parts = {{.text = std::move(question)}}, .loss = false},
                       {.role = Role::assistant, .parts = {{.text = std::move(answer)}}, .loss = true}},
          .media = {}};
}

}  // namespace

TEST_CASE("ids and labels of the golden samples equal those of the Hugging Face processor") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kCase + "/model");
  const SampleTokenizer samples(tokenizer, kCase + "/model", chat_of_folder(kCase + "/model"),
                                {.image = kImage});
  const MessagesFile file(kCase + "/samples.jsonl");
  EncodeCache cache;
  for (i64 i = 0; i < file.size(); ++i) {
    const ChatSample sample = file.sample(i);
    const std::vector<std::string> texts(sample.media.size(), plain_media_text("<image>", kTokensPerImage));
    const TokenizedSample got = samples.tokenize(sample, texts, cache);
    const io::SafetensorsFile expected(fmt::format("{}/expected_samples/{:03}.safetensors", kCase, i));
    CAPTURE(i);
    CHECK(got.ids == integers(expected, "input_ids"));
    CHECK(got.labels == integers(expected, "labels"));
    CHECK(got.prefix == 0);
    REQUIRE(got.media_positions.size() == sample.media.size());
    for (const auto& positions : got.media_positions) {
      REQUIRE(positions.size() == kTokensPerImage);
      CHECK(got.ids[static_cast<std::size_t>(positions[0] - 1)] != kImage);
      for (i64 k = 0; k < kTokensPerImage; ++k) {
        CHECK(positions[static_cast<std::size_t>(k)] == positions[0] + k);
        CHECK(got.ids[static_cast<std::size_t>(positions[0] + k)] == kImage);
      }
    }
  }
}

TEST_CASE(
    "a token that begins with the space in front of the answer is supervised, the rest of the prompt is "
    "not") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kCase + "/model");
  const SampleTokenizer samples(tokenizer, kCase + "/model", chat_by_name("llava"), {.image = kImage});
  EncodeCache cache;
  const TokenizedSample got = samples.tokenize(chat("Why?", "The end."), {}, cache);
  std::vector<i64> supervised;
  for (std::size_t i = 0; i < got.ids.size(); ++i) {
    if (got.labels[i] == kIgnored) continue;
    CHECK(got.labels[i] == got.ids[i]);
    supervised.push_back(got.ids[i]);
  }
  CHECK(tokenizer.decode(supervised, false) == " The end.</s>");
  CHECK(got.labels.front() == kIgnored);
  CHECK(got.labels.back() == 2);
}

TEST_CASE("a prompt has the ids in front of the last answer, the images of these messages and no label") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kCase + "/model");
  const SampleTokenizer samples(tokenizer, kCase + "/model", chat_by_name("llava"), {.image = kImage});
  const MessagesFile file(kCase + "/samples.jsonl");
  EncodeCache cache;
  const ChatSample sample = file.sample(6);  // two images, two answers
  const std::vector<std::string> texts{plain_media_text("<image>", 3), plain_media_text("<image>", 5)};
  const TokenizedSample prompt = samples.tokenize_prompt(sample, texts, cache);
  CHECK(tokenizer.decode(prompt.ids, true) == "USER: \nProgressive? ASSISTANT: Yes.USER: \nGray? ASSISTANT:");
  CHECK(std::count(prompt.ids.begin(), prompt.ids.end(), kImage) == 8);
  REQUIRE(prompt.media_positions.size() == 2);
  CHECK(prompt.media_positions[0].size() == 3);
  REQUIRE(prompt.media_positions[1].size() == 5);
  CHECK(prompt.ids[static_cast<std::size_t>(prompt.media_positions[1][4])] == kImage);
  CHECK(prompt.ids[static_cast<std::size_t>(prompt.media_positions[1][4] + 1)] != kImage);
  CHECK(std::all_of(prompt.labels.begin(), prompt.labels.end(), [](i64 label) { return label == kIgnored; }));
  const TokenizedSample whole = samples.tokenize(sample, texts, cache);
  CHECK(std::equal(prompt.ids.begin(), prompt.ids.end(), whole.ids.begin()));
}

TEST_CASE("images that touch keep their own positions") {
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(kCase + "/model");
  ChatSource source = chat_by_name("llava");
  for (std::size_t at; (at = source.program.find("<image>\n")) != std::string::npos;)
    source.program.erase(at + 7, 1);
  const SampleTokenizer samples(tokenizer, kCase + "/model", source, {.image = kImage});
  ChatSample sample = chat("x", "y");
  sample.messages[0].parts = {{.kind = PartKind::image}, {.kind = PartKind::image}};
  sample.media.resize(2);
  EncodeCache cache;
  const std::vector<std::string> texts{plain_media_text("<image>", 3), plain_media_text("<image>", 2)};
  const TokenizedSample got = samples.tokenize(sample, texts, cache);
  REQUIRE(got.media_positions.size() == 2);
  const i64 first = got.media_positions[0][0];
  CHECK(got.media_positions[0] == std::vector<i64>{first, first + 1, first + 2});
  CHECK(got.media_positions[1] == std::vector<i64>{first + 3, first + 4});
}

TEST_CASE("<image> in a text is words, also where it is the model's token: only pictures become that") {
  const std::string folder = kCase + "/model";
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(folder);
  const SampleTokenizer samples(tokenizer, folder, chat_by_name("llava"), {.image = kImage});
  EncodeCache cache;
  const auto times = [](const std::vector<i64>& ids) { return std::count(ids.begin(), ids.end(), kImage); };
  ChatSample sample = chat("Is <image> a tag?", "<image> is one.");
  const TokenizedSample words = samples.tokenize(sample, {}, cache);
  CHECK(tokenizer.decode(words.ids, true) == "USER: Is <image> a tag? ASSISTANT: <image> is one.");
  CHECK(times(words.ids) == 0);
  std::vector<i64> learned;
  for (const i64 label : words.labels) {
    if (label != kIgnored) learned.push_back(label);
  }
  CHECK(tokenizer.decode(learned, false) == "<image> is one.</s>");

  sample.messages[0].parts.insert(sample.messages[0].parts.begin(), {.kind = PartKind::image});
  sample.messages[0].parts.push_back({.kind = PartKind::image});
  sample.media.resize(2);
  const TokenizedSample both = samples.tokenize(
      sample, std::vector{plain_media_text("<image>", 3), plain_media_text("<image>", 2)}, cache);
  CHECK(times(both.ids) == 5);
  REQUIRE(both.media_positions.size() == 2);
  CHECK(both.media_positions[0].size() == 3);
  CHECK(both.media_positions[1].size() == 2);
  CHECK(times(both.labels) == 0);

  ChatSample plain = chat("", "");
  plain.plain = true;
  plain.messages.erase(plain.messages.begin());
  plain.messages[0].parts[0].text = "All about <image>.";
  const TokenizedSample text = samples.tokenize(plain, {}, cache);
  CHECK(times(text.ids) == 0);
  CHECK(tokenizer.decode(text.ids, true) == "All about <image>.");
}

TEST_CASE(
    "a token that is nothing but a picture's, in a text, and a template that does not fit are refused") {
  const std::string folder = kCase + "/model";
  Json json = read_json_file(folder + "/tokenizer.json");
  for (Json& token : json["added_tokens"]) {
    if (token["content"] == "<image>") token["content"] = "<|picture|>";
  }
  const BpeTokenizer other(json, Json::object(), "t.json");
  const SampleTokenizer pictures(other, folder, chat_by_name("llava"), {.image = kImage});
  EncodeCache cache;
  for (const ChatSample& sample : {chat("a <|picture|> b", "c"), chat("a", "b <|picture|>")}) {
    CHECK(failure_of([&] { pictures.tokenize(sample, {}, cache); }) ==
          Failure{ExitCode::bad_data,
                  "f.jsonl:3: a text holds <|picture|>, with which the model marks the place of a picture: "
                  "write it "
                  "otherwise, or give the sample that picture"});
  }
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(folder);
  CHECK(failure_of([&] { SampleTokenizer(tokenizer, folder, chat_by_name("llava"), {.image = 900}); }) ==
        Failure{ExitCode::bad_data,
                "the tokenizer has no token with the model's image token id 900 (its ids end at 781)"});
  const Failure missing =
      failure_of([&] { SampleTokenizer(tokenizer, folder, chat_by_name("qwen2-vl"), {.image = kImage}); });
  CHECK(missing.code == ExitCode::bad_data);
  CHECK(
      missing.message.starts_with("the chat template qwen2-vl needs the token <|im_start|>, which the "
                                  "tokenizer does not have; choose one with "
                                  "data.chat: NAME (qwen2, "));
}

TEST_CASE("a plain text ends with the tokenizer's eos, whatever the chat template ends answers with") {
  const std::string folder = kCase + "/model";
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(folder);
  ChatSource ends_with_pad{
      .name = "x",
      .place = "x",
      .program = "{% for m in messages %}{{ m.role + ': ' + m.content + '<pad>' }}{% endfor %}"};
  ChatSample text = chat("", "The end.");
  text.messages.erase(text.messages.begin());
  text.plain = true;
  EncodeCache cache;
  for (const auto& source : {std::optional(ends_with_pad), std::optional<ChatSource>()}) {
    const SampleTokenizer samples(tokenizer, folder, source, {.image = kImage});
    const TokenizedSample got = samples.tokenize(text, {}, cache);
    CHECK(tokenizer.decode(got.ids, false) == "<s>The end.</s>");
    CHECK(got.labels.back() == tokenizer.eos());
    CHECK(std::count(got.labels.begin(), got.labels.end(), kIgnored) == 1);  // <s>
  }
  const SampleTokenizer samples(tokenizer, folder, std::nullopt, {.image = kImage}, {}, "it has none");
  const Failure failure = failure_of([&] { samples.tokenize(chat("a", "b"), {}, cache); });
  CHECK(failure.message.starts_with("f.jsonl:3: a conversation, but it has none; choose one with data.chat"));
}

TEST_CASE("where a template ends no answer, the tokenizer's eos has its place and its loss") {
  const std::string folder = kCase + "/model";
  const BpeTokenizer tokenizer = BpeTokenizer::from_folder(folder);
  const SampleTokenizer samples(tokenizer, folder, chat_by_name("llava-hub"), {.image = kImage});
  EncodeCache cache;
  const TokenizedSample got = samples.tokenize(chat("Why?", "The end."), {}, cache);
  CHECK(tokenizer.decode(got.ids, false) == "<s>USER: Why? ASSISTANT: The end. </s>");
  CHECK(got.ids.back() == 2);
  CHECK(got.labels.back() == 2);
}
