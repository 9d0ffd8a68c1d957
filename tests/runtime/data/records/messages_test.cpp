#include "runtime/data/records/messages.h"

#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>

#include "runtime/base/shorten.h"
#include "runtime/data/records/check_data.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const char* const kAnswer = R"({"role": "assistant", "content": "Yes."})";

// A folder with a.png, sub/b.png and data.jsonl.
class Messages {
 public:
  Messages() {
    std::filesystem::create_directory(folder_ / "sub");
    folder_.write("a.png", "x");
    folder_.write("sub/b.png", "x");
  }
  const ScratchFolder& folder() const { return folder_; }
  std::string write(const std::string& lines) const { return folder_.write("data.jsonl", lines); }
  ChatSample one(std::string line) const {
    std::replace(line.begin(), line.end(), '\n', ' ');
    return MessagesFile(write(line)).sample(0);
  }
  // The failure of a file whose second line has these messages, without the path in front.
  Failure refusal(const std::string& messages, const std::string& more = "") const {
    const std::string path = write(std::string(R"({"messages": [{"role": "user", "content": "q"}, )") +
                                   kAnswer + "]}\n" + R"({"messages": [)" + messages + "]" + more + "}\n");
    Failure failure = failure_of([&] { check_samples(MessagesFile(path)); });
    const std::string prefix = path + ":2: ";
    if (failure.message.starts_with(prefix)) failure.message.erase(0, prefix.size());
    return failure;
  }
  Failure bad(std::string message) const { return {ExitCode::bad_data, std::move(message)}; }

 private:
  ScratchFolder folder_;
};

// Parts as text, images as *.
std::string shape(const ChatMessage& message) {
  std::string all;
  for (const ChatPart& part : message.parts) all += part.is_text() ? "(" + part.text + ")" : "*";
  return all;
}

std::vector<std::string> image_paths(const ChatSample& sample) {
  std::vector<std::string> paths;
  for (const ChatMedia& media : sample.media) paths.push_back(media.frames.at(0).path);
  return paths;
}

std::string user_turn(const std::string& content) {
  return R"({"role": "user", "content": )" + content + "}, " + kAnswer;
}

}  // namespace

TEST_CASE("the golden samples are read in order, with their images") {
  const MessagesFile file("tests/goldens/llava-clip-llama/samples.jsonl");
  REQUIRE(file.size() == 7);
  const ChatSample sample = file.sample(3);
  CHECK(sample.where == "tests/goldens/llava-clip-llama/samples.jsonl:4");
  REQUIRE(sample.messages.size() == 7);
  CHECK(sample.messages[0].role == Role::system);
  CHECK(shape(sample.messages[1]) == "*(How many pixels?)");
  CHECK(sample.messages[2].role == Role::assistant);
  CHECK(sample.messages[2].loss);
  CHECK(!sample.messages[1].loss);
  CHECK(text_of(sample.messages[6]) == "You're welcome. 😀");
  CHECK(image_paths(sample) == std::vector<std::string>{"tests/goldens/llava-clip-llama/images/tiny.png",
                                                        "tests/goldens/llava-clip-llama/images/wide.png"});
}

TEST_CASE("<image> in a text takes the next of the images, and the text stays as it is written") {
  const Messages data;
  const ChatSample sample = data.one(
      R"({"id": 5, "images": ["a.png", "sub/b.png", "a.png"], "messages": [{"role": "user",
          "content": "<image>\nFirst <image>, then\n<image>"}, {"role": "assistant", "content": "ok"}]})"
      "\n");
  CHECK(shape(sample.messages[0]) == "*(\nFirst )*(, then\n)*");
  CHECK(image_paths(sample) == std::vector<std::string>{data.folder() / "a.png", data.folder() / "sub/b.png",
                                                        data.folder() / "a.png"});
  CHECK(sample.id == "5");
}

TEST_CASE("parts name their images, or take them from the list") {
  const Messages data;
  const ChatSample sample = data.one(
      R"({"images": ["sub/b.png"], "messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"},
          {"type": "text", "text": "x"}, {"type": "image"}, {"type": "image_url", "image_url": {"url": "a.png"}},
          {"type": "image_url", "image_url": "sub/b.png"}, {"type": "text", "text": ""}]},
          {"role": "assistant", "content": [{"type": "text", "text": "y"}], "loss": true}]})");
  CHECK(shape(sample.messages[0]) == "*(x)***");
  CHECK(image_paths(sample) == std::vector<std::string>{data.folder() / "a.png", data.folder() / "sub/b.png",
                                                        data.folder() / "a.png",
                                                        data.folder() / "sub/b.png"});
}

TEST_CASE("loss: false leaves an answer out") {
  const Messages data;
  const ChatSample sample = data.one(R"({"messages": [{"role": "user", "content": "q", "loss": false},
      {"role": "assistant", "content": "a", "loss": false}, {"role": "user", "content": "q"},
      {"role": "assistant", "content": "a"}]})");
  CHECK(!sample.messages[1].loss);
  CHECK(sample.messages[3].loss);
}

TEST_CASE("a count of <image> that is not the count of images is found when the file is opened") {
  const Messages data;
  CHECK(data.refusal(user_turn("\"<image> and <image>\""), R"(, "images": ["a.png"])") ==
        data.bad("2 <image> in the messages, but 1 images; write \\<image> where the word is meant"));
  CHECK(data.refusal(user_turn("\"none\""), R"(, "images": ["a.png"])") ==
        data.bad("0 <image> in the messages, but 1 images; write <image> into a text of the user where each "
                 "stands"));
  CHECK(data.refusal(user_turn("\"<image>\"")) ==
        data.bad("1 <image> in the messages, but 0 images; write \\<image> where the word is meant"));
}

TEST_CASE("samples that say nothing useful are refused with file and line") {
  const Messages data;
  CHECK(data.refusal("") == data.bad("messages is empty"));
  CHECK(data.refusal(R"({"role": "user", "content": "q"})") ==
        data.bad("no assistant message, nothing to learn"));
  CHECK(data.refusal(R"({"role": "assistant", "content": "a", "loss": false})") ==
        data.bad("every assistant message has loss: false, nothing to learn"));
  CHECK(data.refusal(user_turn("\"\"")) == data.bad("message 1: empty content"));
  CHECK(data.refusal(user_turn("[]")) == data.bad("message 1: empty content"));
  CHECK(data.refusal(user_turn("5")) ==
        data.bad("message 1: content must be a text or a list of parts, not 5"));
  CHECK(data.refusal(user_turn("[\"x\", 5]")) == data.bad("message 1, part 2: expected an object, got 5"));
  CHECK(data.refusal(user_turn(R"([{"type": "audio"}])")) ==
        data.bad("message 1, part 1: part type \"audio\" is not supported; valid: \"text\", \"image\", "
                 "\"image_url\", \"video\""));
  CHECK(data.refusal(R"({"role": "uesr", "content": "q"}, )" + std::string(kAnswer)) ==
        data.bad("message 1: role \"uesr\" is not known; did you mean \"user\"?"));
  CHECK(data.refusal(R"({"role": "assistant", "content": "a", "weight": 0})") ==
        data.bad("message 1: \"weight\" is not supported: write loss: false for an answer that is not to be "
                 "learned"));
  CHECK(data.refusal(R"({"role": "user", "content": "q", "loss": true}, )" + std::string(kAnswer)) ==
        data.bad("message 1: loss: true is for assistant messages only"));
  CHECK(data.refusal(std::string(kAnswer) + R"(, {"role": "system", "content": "s"})") ==
        data.bad("message 2: a system message must be the first"));
  CHECK(data.refusal(R"({"role": "assistant", "content": [{"type": "image", "image": "a.png"}]})") ==
        data.bad("message 1: an answer without text"));
  CHECK(
      data.refusal(
          R"({"role": "assistant", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "x"}]})") ==
      data.bad("message 1: images belong in user messages"));
  CHECK(data.refusal("7").message == "message 1: expected an object, got 7");
  CHECK(data.refusal(R"({"content": "q"})").code == ExitCode::bad_data);
  CHECK(data.refusal(R"({"role": "user"})").code == ExitCode::bad_data);
}

TEST_CASE("images stay under the folder of the file, and are files") {
  const Messages data;
  const ScratchFolder other;
  other.write("c.png", "x");
  std::filesystem::create_symlink(other / "c.png", data.folder() / "link.png");
  const auto refused = [&data](const std::string& path) {
    return data.refusal(user_turn(R"([{"type": "image", "image": ")" + path + R"("}])"));
  };
  CHECK(refused("sub/../a.png").code == ExitCode::done);
  CHECK(refused(other / "c.png").message ==
        "message 1, part 1: the image " + shortened(other / "c.png") + " lies outside of " +
            data.folder().path() +
            ", the folder of the pictures; name one that holds it: images: FOLDER in the data set's entry");
  CHECK(refused("../" + std::filesystem::path(other.path()).filename().string() + "/c.png").code ==
        ExitCode::bad_data);
  CHECK(refused("link.png").code == ExitCode::done);
  CHECK(refused("none.png") == Failure{ExitCode::missing_input, "message 1, part 1: cannot open the image " +
                                                                    shortened(data.folder() / "none.png") +
                                                                    ": No such file or directory"});
  CHECK(refused("https://example.org/a.png") ==
        data.bad("message 1, part 1: the URL https://example.org/a.png is not supported, nothing is fetched: "
                 "put the "
                 "image into a file and give its path"));
  CHECK(refused("sub") ==
        data.bad("message 1, part 1: the image " + shortened(data.folder() / "sub") + ": it is a folder"));
  CHECK(refused("") == data.bad("message 1, part 1: \"\" is not the path of an image"));

  // With a media folder of its own.
  const std::string path =
      data.write(R"({"messages": [)" + user_turn(R"([{"type": "image", "image": "c.png"}])") + "]}");
  CHECK(image_paths(MessagesFile(path, other.path()).sample(0)) == std::vector<std::string>{other / "c.png"});
  CHECK(failure_of([&] { MessagesFile file(path, other / "none"); }).code == ExitCode::missing_input);
}

TEST_CASE("a picture may stand in the data itself") {
  const Messages data;
  const ChatSample sample = data.one(
      R"({"images": ["data:image/png;base64,Zm9v", "a.png"], "messages": [{"role": "user", "content": [
          {"type": "text", "text": "<image><image>"},
          {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,YmFy"}}]}, {"role": "assistant", "content": "x"}]})");
  REQUIRE(sample.media.size() == 3);
  const auto content = [&](std::size_t i) { return sample.media[i].frames.at(0).content; };
  CHECK(*content(0) == "foo");
  CHECK(content(1) == nullptr);
  CHECK(*content(2) == "bar");
  CHECK(sample.media[2].frames[0].path == "the image in the data, number 2");
  const auto refused = [&](const std::string& uri) {
    return data.refusal(user_turn(R"([{"type": "image", "image": ")" + uri + R"("}])")).message;
  };
  CHECK(refused("data:image/png;base64,Zm9vY") ==
        "message 1, part 1: the image in the data is not valid base64: Zm9vY");
  CHECK(refused("data:image/png;base64,") ==
        "message 1, part 1: the image in the data is not valid base64: ");
  for (const char* uri :
       {"data:text/html;base64,Zm9v", "data:image/png,Zm9v", "data:image/png;base64", "data:"}) {
    CAPTURE(uri);
    CHECK(refused(uri) == "message 1, part 1: " + std::string(uri) +
                              " is not a data URI of an image: data:image/TYPE;base64,DATA");
  }
}

TEST_CASE("a video is the list of its frames") {
  const Messages data;
  const ChatSample sample = data.one(
      R"({"images": ["a.png"], "messages": [{"role": "user", "content": [
          {"type": "video", "video": ["a.png", "sub/b.png", "data:image/png;base64,Zm9v"], "fps": 2.5},
          {"type": "text", "text": "<image>?"}, {"type": "video", "video": ["a.png"]}]}, {"role": "assistant", "content": "x"}]})");
  REQUIRE(sample.media.size() == 3);
  CHECK(sample.media[0].video);
  CHECK(sample.media[0].frames_per_second == 2.5);
  REQUIRE(sample.media[0].frames.size() == 3);
  CHECK(sample.media[0].frames[1].path == data.folder() / "sub/b.png");
  CHECK(*sample.media[0].frames[2].content == "foo");
  CHECK(!sample.media[1].video);
  CHECK(sample.media[2].video);
  CHECK(sample.media[2].frames_per_second == 0);
  CHECK(sample.messages[0].parts[0].kind == PartKind::video);
  CHECK(sample.messages[0].parts[1].kind == PartKind::image);
  // Listed apart from the texts.
  const ChatSample listed = data.one(
      R"({"images": ["a.png"], "videos": [["a.png", "sub/b.png"], ["sub/b.png"]], "messages": [{"role": "user",
          "content": [{"type": "text", "text": "<video>\nand <image>"}, {"type": "video"}]},
          {"role": "assistant", "content": "x"}]})");
  REQUIRE(listed.media.size() == 3);
  CHECK(listed.media[0].frames.size() == 2);
  CHECK(listed.media[0].video);
  CHECK(!listed.media[1].video);
  CHECK(listed.media[2].frames.at(0).path == data.folder() / "sub/b.png");
  REQUIRE(listed.messages[0].parts.size() == 4);
  CHECK(listed.messages[0].parts[1].text == "\nand ");
  CHECK(listed.messages[0].parts[3].kind == PartKind::video);
  CHECK(data.refusal(user_turn("\"<video>\"")) ==
        data.bad("1 <video> in the messages, but 0 videos; write \\<video> where the word is meant"));
  CHECK(data.refusal(user_turn("\"<video>\""), R"(, "videos": ["a.mp4"])") ==
        data.bad("video 1: video \"a.mp4\": films are not read; write their frames into files and give the "
                 "list of the paths"));
  const auto refused = [&](const std::string& part) { return data.refusal(user_turn("[" + part + "]")); };
  CHECK(refused(R"({"type": "video", "video": "a.mp4"})") ==
        data.bad("message 1, part 1: video \"a.mp4\": films are not read; write their frames into files and "
                 "give the "
                 "list of the paths"));
  CHECK(refused(R"({"type": "video", "video": []})") ==
        data.bad("message 1, part 1: a video without frames"));
  CHECK(refused(R"({"type": "video", "video": ["a.png", 3]})") ==
        data.bad("message 1, part 1: 3 is not the path of an image"));
  CHECK(refused(R"({"type": "video", "video": ["a.png"], "fps": 0})") ==
        data.bad("message 1, part 1: fps 0 must be positive"));
  CHECK(refused(R"({"type": "video"})") ==
        data.bad("1 <video> in the messages, but 0 videos; write \\<video> where the word is meant"));
}

TEST_CASE("a file that is empty, malformed or not there") {
  const Messages data;
  CHECK(failure_of([&] { MessagesFile file(data.write("\n\n")); }) ==
        data.bad((data.folder() / "data.jsonl") + ": no samples"));
  const Failure broken = failure_of([&] { check_samples(MessagesFile(data.write("\n{\"messages\": "))); });
  CHECK(broken.code == ExitCode::bad_data);
  CHECK(contains(broken.message, "data.jsonl:2"));
  CHECK(failure_of([&] { check_samples(MessagesFile(data.write("7"))); }) ==
        data.bad((data.folder() / "data.jsonl") + ":1: expected an object, got 7"));
  CHECK(failure_of([&] { MessagesFile file(data.write("[1]")); }) ==
        data.bad((data.folder() / "data.jsonl") + ":1: expected an object as element 1, got \"1\""));
  CHECK(failure_of([&] { MessagesFile file(data.folder() / "none.jsonl"); }).code == ExitCode::missing_input);
}
