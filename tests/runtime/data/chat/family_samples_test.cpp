// Chat samples of each family, tokenised as its Hugging Face processor does.
#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/chat/media_text.h"
#include "runtime/data/chat/tokenize_sample.h"
#include "runtime/data/records/messages.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kFolder = "tests/goldens/tokenizer/families/";

// What stands for an image that was cut as the golden says.
std::string media_text(const Json& golden, const Json& media, const std::string& placeholder) {
  const std::string kind = golden["kind"];
  if (kind == "qwen")
    return qwen_media_text(placeholder, {.frames = media[0], .rows = media[1], .columns = media[2]});
  const i64 rows = media[0], columns = media[1], per_tile = golden["per_tile"];
  const TileGrid grid{.rows = rows, .columns = columns, .thumbnail = kind == "smolvlm" && rows * columns > 1};
  return kind == "smolvlm"    ? smolvlm_media_text(placeholder, grid, per_tile)
         : kind == "internvl" ? internvl_media_text(placeholder, grid, per_tile)
                              : plain_media_text(placeholder, per_tile);
}

void check_family(const std::string& name, const char* chat) {
  const std::string folder = kFolder + name;
  const Json golden = read_json_file(folder + "/expected.json");
  const auto tokenizer = read_tokenizer(folder);
  const i64 image = golden["image_token"];
  REQUIRE(chat_of_folder(folder).has_value());
  CHECK(chat_of_folder(folder)->program == chat_by_name(chat).program);
  const SampleTokenizer samples(*tokenizer, folder, chat_of_folder(folder), {.image = image});
  const MessagesFile file(folder + "/samples.jsonl", "tests/goldens/llava-clip-llama");
  REQUIRE(file.size() == static_cast<i64>(golden["samples"].size()));
  EncodeCache cache;
  for (i64 i = 0; i < file.size(); ++i) {
    const Json& expected = golden["samples"][static_cast<std::size_t>(i)];
    std::vector<std::string> texts;
    for (const Json& media : expected["media"])
      texts.push_back(media_text(golden, media, tokenizer->token(image)));
    const TokenizedSample got = samples.tokenize(file.sample(i), texts, cache);
    CAPTURE(i);
    CHECK(got.ids == expected["input_ids"].get<std::vector<i64>>());
    CHECK(got.labels == expected["labels"].get<std::vector<i64>>());
    CHECK((got.prefix > 0) == expected.contains("token_type_ids"));
    if (got.prefix > 0) CHECK(token_type_ids(got) == expected["token_type_ids"].get<std::vector<i64>>());
    // Each placeholder belongs to one image, in order.
    std::vector<i64> positions;
    for (const auto& media : got.media_positions) {
      CHECK(!media.empty());
      positions.insert(positions.end(), media.begin(), media.end());
    }
    std::vector<i64> placeholders;
    for (std::size_t t = 0; t < got.ids.size(); ++t) {
      if (got.ids[t] == image) placeholders.push_back(static_cast<i64>(t));
    }
    CHECK(positions == placeholders);
    // What is generated from is the beginning of what is trained on.
    const TokenizedSample prompt = samples.tokenize_prompt(file.sample(i), texts, cache);
    REQUIRE(prompt.ids.size() < got.ids.size());
    CHECK(std::equal(prompt.ids.begin(), prompt.ids.end(), got.ids.begin()));
    CHECK(prompt.prefix == got.prefix);
  }
}

}  // namespace

TEST_CASE("ids and labels of chat samples equal those of each family's Hugging Face processor") {
  SUBCASE("LLaVA") {
    check_family("llava-multilayer", "llava");
  }
  SUBCASE("InternVL") {
    check_family("internvl-qwen2", "internvl");
  }
  SUBCASE("Qwen2-VL") {
    check_family("qwen2-vl", "qwen2-vl");
  }
  SUBCASE("Qwen2.5-VL") {
    check_family("qwen2_5-vl", "qwen2-vl");
  }
  SUBCASE("SmolVLM") {
    check_family("smolvlm", "smolvlm");
  }
  SUBCASE("PaliGemma") {
    check_family("paligemma", "paligemma");
  }
}

TEST_CASE("a video has its own placeholders beside those of images") {
  const auto tokenizer = read_tokenizer(kFolder + "qwen2-vl");
  const i64 image = tokenizer->id_of("<|image_pad|>").value(),
            video = tokenizer->id_of("<|video_pad|>").value();
  const SampleTokenizer samples(*tokenizer, kFolder + "qwen2-vl", chat_by_name("qwen2-vl"),
                                {.image = image, .video = video});
  const ChatSample sample{
      .where = "f.jsonl:1",
      .id = {},
      .messages = {{.role = Role::user,
                    .parts = {{.kind = PartKind::video}, {.kind = PartKind::image}, {.text = "?"}}},
                   {.role = Role::assistant, .parts = {{.text = "!"}}, .loss = true}},
      .media = {{.video = true, .frames = {}}, {.video = false, .frames = {}}}};
  const std::vector<std::string> texts{
      qwen_media_text("<|video_pad|>", {.frames = 2, .rows = 2, .columns = 2}),
      qwen_media_text("<|image_pad|>", {.frames = 1, .rows = 2, .columns = 2})};
  EncodeCache cache;
  const TokenizedSample got = samples.tokenize(sample, texts, cache);
  REQUIRE(got.media_positions.size() == 2);
  REQUIRE(got.media_positions[0].size() == 2);
  REQUIRE(got.media_positions[1].size() == 1);
  const auto id = [&](i64 at) { return got.ids[static_cast<std::size_t>(at)]; };
  CHECK(id(got.media_positions[0][0]) == video);
  CHECK(id(got.media_positions[0][1]) == video);
  CHECK(id(got.media_positions[1][0]) == image);
  CHECK(id(got.media_positions[0][0] - 1) == tokenizer->id_of("<|vision_start|>"));
  const SampleTokenizer without(*tokenizer, kFolder + "qwen2-vl", chat_by_name("qwen2-vl"), {.image = image});
  CHECK_THROWS_WITH(without.tokenize(sample, texts, cache),
                    "f.jsonl:1: the model has no video token, so it takes no videos");
}
