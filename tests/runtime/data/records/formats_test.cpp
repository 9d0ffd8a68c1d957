// Every format on committed files: the same conversations come out of all of them.
#include <doctest/doctest.h>

#include "runtime/data/records/check_data.h"
#include "runtime/data/records/open_data.h"
#include "tests/support/failure.h"
#include "tests/support/media_bytes.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kGoldenFormats = "tests/goldens/data_formats/";
const ConversationTags kRenamed{.messages = "dialog",
                                .role = "who",
                                .content = "says",
                                .user = "Q",
                                .assistant = "A",
                                .system = "S",
                                .images = "files"};

// All that training takes from a sample: texts, places of pictures and their bytes, loss.
std::string content_of(const ChatSample& sample) {
  std::string all = sample.id + "\n";
  std::size_t media = 0;
  for (const ChatMessage& message : sample.messages) {
    all += fmt::format("{} {}:", static_cast<int>(message.role), message.loss);
    for (const ChatPart& part : message.parts) {
      if (part.is_text()) {
        all += "(" + part.text + ")";
        continue;
      }
      const ChatMedia& m = sample.media.at(media++);
      CHECK(m.frames.size() == 1);
      const auto bytes = media_bytes(m.frames.at(0));
      all += fmt::format("{}<{} {}>", static_cast<int>(part.kind), bytes.size(),
                         std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    all += "\n";
  }
  CHECK(media == sample.media.size());
  return all;
}

std::vector<std::string> contents_of_data(const DataSpec& spec) {
  const auto data = open_chat_data(spec);
  std::vector<std::string> contents;
  for (i64 i = 0; i < data->size(); ++i) contents.push_back(content_of(data->sample(i)));
  return contents;
}

DataSpec spec(DataKind kind, const std::string& file) {
  return {.kind = kind, .files = {kGoldenFormats + file}, .images = kGoldenFormats + "pictures"};
}

}  // namespace

TEST_CASE("the same data in messages, LLaVA, ShareGPT and WebDataset give the same samples") {
  const std::vector<std::string> reference = contents_of_data(spec(DataKind::messages, "messages.jsonl"));
  REQUIRE(reference.size() == 4);
  CHECK(reference[1].starts_with("two\n0 false:(Answer briefly.)\n1 false:(Compare )1<"));
  CHECK(contains(reference[1], ">(, please.)\n2 true:(Red, then blue.)\n"));
  CHECK(reference[2] == "none\n1 false:(Say \"hi\"\nin German: \\o/)\n2 true:(Hallo! 😀)\n");
  CHECK(contents_of_data(spec(DataKind::llava, "llava.json")) == reference);
  CHECK(contents_of_data(spec(DataKind::llava, "llava_one_line.json")) == reference);
  CHECK(contents_of_data(spec(DataKind::llava, "llava.jsonl")) == reference);
  CHECK(contents_of_data(spec(DataKind::sharegpt, "sharegpt.json")) == reference);
  CHECK(contents_of_data(spec(DataKind::sharegpt, "sharegpt_pairs.json")) == reference);
  DataSpec renamed = spec(DataKind::sharegpt, "sharegpt_renamed.json");
  renamed.tags = kRenamed;
  CHECK(contents_of_data(renamed) == reference);
  CHECK(contents_of_data({.kind = DataKind::webdataset,
                          .files = {kGoldenFormats + "shards/train-{000..001}.tar"}}) == reference);
  CHECK(contents_of_data({.kind = DataKind::webdataset, .files = {kGoldenFormats + "shards/train-*.tar"}}) ==
        reference);
}

TEST_CASE("a file says by its first record what it is") {
  const auto kind = [](const std::string& file) { return guess_data_spec(kGoldenFormats + file).kind; };
  CHECK(kind("messages.jsonl") == DataKind::messages);
  CHECK(kind("llava.json") == DataKind::llava);
  CHECK(kind("llava.jsonl") == DataKind::llava);
  CHECK(kind("sharegpt.json") == DataKind::sharegpt);
  CHECK(kind("sharegpt_pairs.json") == DataKind::sharegpt);
  CHECK(kind("text.jsonl") == DataKind::text);
  CHECK(kind("alpaca.json") == DataKind::text);
  CHECK(kind("shards/train-000.tar") == DataKind::webdataset);
  CHECK(failure_of([&] { kind("sharegpt_renamed.json"); }) ==
        Failure{ExitCode::bad_data, kGoldenFormats +
                                        "sharegpt_renamed.json: its first record does not say what it is; "
                                        "name the kind: messages, llava, sharegpt or text"});
}

TEST_CASE("texts without pictures: all of one learned, questions with history, Alpaca") {
  const auto text = open_chat_data({.kind = DataKind::text, .files = {kGoldenFormats + "text.jsonl"}});
  REQUIRE(text->size() == 2);
  CHECK(text->sample(0).plain);
  CHECK(content_of(text->sample(0)) == "\n2 true:(All of this is learned.)\n");
  CHECK(!text->sample(1).plain);
  CHECK(content_of(text->sample(1)) ==
        "\n0 false:(Count.)\n1 false:(1 + 1?)\n2 true:(2)\n1 false:(2 + 2?)\n2 true:(4)\n");
  const auto alpaca = open_chat_data({.kind = DataKind::text, .files = {kGoldenFormats + "alpaca.json"}});
  REQUIRE(alpaca->size() == 2);
  CHECK(content_of(alpaca->sample(0)) == "\n1 false:(Translate to French.\ncat)\n2 true:(chat)\n");
  CHECK(content_of(alpaca->sample(1)) == "\n1 false:(Name a colour.)\n2 true:(Green.)\n");
}

TEST_CASE("a sample is found by file and line, an element also by its number") {
  const auto where = [](const DataSpec& s, i64 index) { return open_chat_data(s)->where(index); };
  CHECK(where(spec(DataKind::messages, "messages.jsonl"), 2) == kGoldenFormats + "messages.jsonl:3");
  CHECK(where(spec(DataKind::llava, "llava.json"), 1) == kGoldenFormats + "llava.json:16, element 2");
  CHECK(where(spec(DataKind::llava, "llava_one_line.json"), 3) ==
        kGoldenFormats + "llava_one_line.json:1, element 4");
  CHECK(where({.kind = DataKind::webdataset, .files = {kGoldenFormats + "shards/train-*.tar"}}, 2) ==
        kGoldenFormats + "shards/train-001.tar:samples/none");
}

namespace {

const std::string kEscapeHint = "; write \\<image> where the word is meant";

// What is said about the second of two records, without its place in front.
class Second {
 public:
  explicit Second(DataKind kind) : kind_(kind) { folder_.write("a.png", "x"); }
  std::string refusal(const std::string& record, const ConversationTags& tags = {}) const {
    const std::string good =
        kind_ == DataKind::text
            ? R"({"text": "t"})"
            : R"({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})";
    DataSpec spec{.kind = kind_, .files = {folder_.write("d.json", "[" + good + ",\n\n" + record + "]")}};
    if (kind_ == DataKind::sharegpt && tags.role != "from")
      spec.files = {folder_.write("d.json", "[\n\n" + record + "]")};
    spec.tags = tags;
    const Failure failure = failure_of([&] { check_samples(*open_chat_data(spec)); });
    CHECK(failure.code == ExitCode::bad_data);
    for (const char* place : {":3, element 2: ", ":3, element 1: ", ":3:"}) {
      const std::string prefix = (folder_ / "d.json") + place;
      if (failure.message.starts_with(prefix)) return failure.message.substr(prefix.size());
    }
    return failure.message;
  }

 private:
  ScratchFolder folder_;
  DataKind kind_;
};

}  // namespace

TEST_CASE("LLaVA samples that are wrong are refused with line and element") {
  const Second llava(DataKind::llava);
  const auto turns = [](const std::string& question, const std::string& more = "") {
    return R"({"conversations": [{"from": "human", "value": ")" + question +
           R"("}, {"from": "gpt", "value": "a"}])" + more + "}";
  };
  CHECK(llava.refusal(turns("<image>")) == "1 <image> in the messages, but 0 images" + kEscapeHint);
  CHECK(llava.refusal(turns("q", R"(, "image": "a.png")")) ==
        "0 <image> in the messages, but 1 images; write <image> into a text of the user where each stands");
  CHECK(llava.refusal(turns("<image><image>", R"(, "image": ["a.png"])")) ==
        "2 <image> in the messages, but 1 images" + kEscapeHint);
  CHECK(llava.refusal(turns("<image>", R"(, "image": 5)")) == "5 is not the path of an image");
  CHECK(llava.refusal(turns("<image>", R"(, "image": "http://x.org/a.png")")) ==
        "the URL http://x.org/a.png is not supported, nothing is fetched: put the image into a file and give "
        "its "
        "path");
  CHECK(llava.refusal(turns("<image>", R"(, "image": "a.png", "images": ["a.png"])")) ==
        "\"images\" and \"image\"; keep one of them");
  CHECK(llava.refusal(R"({"conversations": []})") == "conversations is empty");
  CHECK(llava.refusal(R"({"conversations": 5})") == "\"conversations\": expected a list, got 5");
  CHECK(llava.refusal(R"({"conversation": []})") ==
        "conversation must be a list of {\"human\", \"assistant\"}");
  CHECK(llava.refusal(R"({"conversatons": []})") ==
        "unknown key \"conversatons\"; did you mean \"conversations\"?");
  CHECK(llava.refusal(R"({"conversations": [5]})") == "turn 1: expected an object, got 5");
  CHECK(llava.refusal(R"({"conversations": [{"from": "user", "value": "q"}]})") ==
        "turn 1: \"from\": \"user\" is not human, gpt, system, function_call or observation (tags of "
        "sharegpt data say other names)");
  CHECK(llava.refusal(R"({"conversations": [{"from": "human", "value": 1}]})") ==
        "turn 1: \"value\": expected a string, got 1");
  CHECK(llava.refusal(R"({"conversations": [{"from": "human", "value": "q"}]})") ==
        "no assistant message, nothing to learn");
  CHECK(llava.refusal(R"({"conversations": [{"from": "gpt", "value": ""}]})") == "turn 1: empty content");
  CHECK(llava.refusal(R"({"conversations": [{"from": "gpt", "value": "a <image>"}], "image": "a.png"})") ==
        "0 <image> in the messages, but 1 images; write <image> into a text of the user where each stands");
  CHECK(llava.refusal(
            R"({"conversations": [{"from": "gpt", "value": "a"}, {"from": "system", "value": "s"}]})") ==
        "turn 2: a system message must be the first");
  CHECK(llava.refusal("{\"a\": 1, \"a\": 2}") == "12: duplicate key \"a\"");
  CHECK(llava.refusal("{\"a\": }").starts_with("7: not valid JSON"));
  CHECK(llava.refusal("{\"a\": \"\xFF\"}") == " invalid UTF-8 at byte 7");
}

TEST_CASE("ShareGPT samples that are wrong are refused, with the names that its tags give") {
  const Second sharegpt(DataKind::sharegpt);
  CHECK(sharegpt.refusal(R"({"dialog": [{"who": "human", "says": "q"}]})", kRenamed) ==
        "turn 1: \"who\": \"human\" is not Q, A, S, function_call or observation (tags of sharegpt data say "
        "other names)");
  CHECK(sharegpt.refusal(R"({"dialogue": []})", kRenamed) ==
        "unknown key \"dialogue\"; did you mean \"dialog\"?");
  CHECK(sharegpt.refusal(R"({"conversation": []})") ==
        "conversation must be a list of {\"human\", \"assistant\"}");
  CHECK(sharegpt.refusal(R"({"conversation": [{"human": "q"}]})") == "turn 1: no \"assistant\"");
  CHECK(sharegpt.refusal(R"({"conversation": [{"human": "<image>", "assistant": "a"}], "images": []})") ==
        "1 <image> in the messages, but 0 images" + kEscapeHint);
  CHECK(sharegpt.refusal(R"({"system": 5, "conversation": [{"human": "q", "assistant": "a"}]})") ==
        "\"system\": expected a string, got 5");
}

TEST_CASE("LLaVA and ShareGPT data list videos beside their turns") {
  const ScratchFolder folder;
  folder.write("a.png", "a");
  folder.write("b.png", "b");
  const std::string turns =
      R"("conversations": [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "x"}])";
  const std::string llava = folder.write("l.json", R"([{"video": ["a.png", "b.png"], )" + turns + "}]");
  const std::string sharegpt = folder.write("s.json", R"([{"videos": [["a.png", "b.png"]], )" + turns + "}]");
  for (const auto& [kind, path] : {std::pair(DataKind::llava, llava), {DataKind::sharegpt, sharegpt}}) {
    const ChatSample sample = open_chat_data({.kind = kind, .files = {path}})->sample(0);
    REQUIRE(sample.media.size() == 1);
    CHECK(sample.media[0].video);
    CHECK(sample.media[0].frames.size() == 2);
    CHECK(text_of(sample.messages[0]) == "\nWhat?");
  }
  const Second bad(DataKind::sharegpt);
  CHECK(bad.refusal(R"({"videos": "a.mp4", )" + turns + "}") ==
        "video \"a.mp4\": films are not read; write their frames into files and give the list of the paths");
  CHECK(bad.refusal("{" + turns + "}") ==
        "1 <video> in the messages, but 0 videos; write \\<video> where the word is meant");
}

TEST_CASE("texts that are wrong are refused, and pictures among them") {
  const Second text(DataKind::text);
  CHECK(text.refusal("{}") == "neither \"text\" nor \"query\" nor \"instruction\"");
  CHECK(text.refusal(R"({"text": ""})") == "\"text\": empty content");
  CHECK(text.refusal(R"({"text": 5})") == "\"text\": expected a string, got 5");
  CHECK(text.refusal(R"({"query": "q"})") == "no \"response\"");
  CHECK(text.refusal(R"({"instruction": "q", "input": 5, "output": "a"})") ==
        "\"input\": expected a string, got 5");
  CHECK(text.refusal(R"({"query": "q", "response": "a", "history": [["x"]]})") ==
        "history: [\"x\"] is not [QUERY, RESPONSE]");
  CHECK(text.refusal(R"({"query": "q", "response": "a", "images": ["a.png"]})") ==
        "\"images\" in data of kind text; use messages, llava or sharegpt for pictures");
  CHECK(text.refusal(R"({"query": "<image>", "response": "a"})") ==
        "1 <image> in the messages, but 0 images" + kEscapeHint);
}

TEST_CASE("loss: false leaves a turn out in every format that has turns") {
  const ScratchFolder folder;
  const std::string path = folder.write(
      "d.json",
      R"([{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "loss": false},
          {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}])");
  const ChatSample sample = open_chat_data({.kind = DataKind::llava, .files = {path}})->sample(0);
  CHECK(!sample.messages[1].loss);
  CHECK(sample.messages[3].loss);
}

TEST_CASE("all that is wrong is reported in the order of the samples, and counted") {
  const ScratchFolder folder;
  std::string lines;
  for (int i = 0; i < 500; ++i)
    lines += i % 100 == 37 ? "{\"text\": 5}\n"
                           : R"({"query": "q", "response": "a"})"
                             "\n";
  const auto data = open_chat_data({.kind = DataKind::text, .files = {folder.write("d.jsonl", lines)}});
  std::vector<std::string> reported;
  const DataCounts counts = check_samples(*data, {.report = [&](i64 index, const std::exception_ptr& error) {
    const Failure failure = failure_of([&] { std::rethrow_exception(error); });
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(index == static_cast<i64>(37 + 100 * reported.size()));
    reported.push_back(failure.message.substr((folder / "d.jsonl").size()));
  }});
  CHECK(counts == DataCounts{.samples = 500, .images = 0, .videos = 0, .answers = 495, .bad = 5});
  REQUIRE(reported.size() == 5);
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(reported[i] == fmt::format(":{}: \"text\": expected a string, got 5", 38 + 100 * i));
  CHECK(contains(failure_of([&] { check_samples(*data); }).message, "d.jsonl:38: "));
}

TEST_CASE("a check of pictures looks at their headers or decodes them to the end") {
  const ScratchFolder folder;
  const std::string png = contents_of(kGoldenFormats + "pictures/red.png");
  folder.write("cut.png", png.substr(0, png.size() - 30));
  folder.write("text.png", "no picture");
  const auto with = [&](const std::string& picture, MediaCheck media) {
    const std::string path = folder.write(
        "d.jsonl",
        R"({"messages": [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "a"}], "images": [")" +
            picture + "\"]}\n");
    return failure_of([&] {
      check_samples(*open_chat_data({.kind = DataKind::messages, .files = {path}}), {.media = media});
    });
  };
  CHECK(with("cut.png", MediaCheck::named) == Failure{});
  CHECK(with("text.png", MediaCheck::named) == Failure{});
  CHECK(with("cut.png", MediaCheck::headers) == Failure{});
  CHECK(
      with("text.png", MediaCheck::headers) ==
      Failure{
          ExitCode::bad_data,
          (folder / "d.jsonl") + ":1: " + (folder / "text.png") +
              ": no known picture; known are JPEG, PNG, GIF, WebP, BMP and TIFF; convert it to PNG or JPEG"});
  CHECK(with("cut.png", MediaCheck::decoded).code == ExitCode::bad_data);
  CHECK(with("data:image/png;base64,Zm9v", MediaCheck::headers).message ==
        (folder / "d.jsonl") +
            ":1: the image in the data, number 1: no known picture; known are JPEG, PNG, GIF, WebP, BMP and "
            "TIFF; "
            "convert it to PNG or JPEG");
}
