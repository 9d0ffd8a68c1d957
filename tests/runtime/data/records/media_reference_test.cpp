// What records call pictures: paths, parts, bytes; and how parts and lists go together.
#include <doctest/doctest.h>

#include "runtime/data/records/check_data.h"
#include "runtime/data/records/open_data.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

// The eight bytes with which a PNG begins, and more so that it is long enough for bare base64.
const std::string kPng = "iVBORw0KGgoAAAANSUhEUgAAAHAAAABUCAIAAADVvyQ8AAAA70lEQVR4nO3YMQqEQBAAwVH3";

class Data {
 public:
  Data() {
    for (const char* name : {"a.png", "b.png"}) folder_.write(name, "x");
  }
  ChatSample read(const std::string& content, const std::string& more = "") const {
    std::string line = R"({"messages": [{"role": "user", "content": )" + content +
                       R"(}, {"role": "assistant", "content": "A"}])" + more + "}";
    std::replace(line.begin(), line.end(), '\n', ' ');
    return open_chat_data({.kind = DataKind::messages, .files = {folder_.write("d.jsonl", line)}})->sample(0);
  }
  std::string refusal(const std::string& content, const std::string& more = "") const {
    const Failure failure = failure_of([&] { read(content, more); });
    CHECK(failure.code == ExitCode::bad_data);
    const std::string prefix = (folder_ / "d.jsonl") + ":1: ";
    CHECK(failure.message.starts_with(prefix));
    return failure.message.substr(std::min(prefix.size(), failure.message.size()));
  }
  // The names of the pictures, or what is in them.
  std::string pictures(const std::string& content, const std::string& more = "") const {
    std::string all;
    for (const ChatMedia& media : read(content, more).media) {
      for (const MediaFile& f : media.frames)
        all += (f.content ? *f.content : f.path.substr(f.path.rfind('/') + 1)) + " ";
    }
    return all;
  }
  std::string folder() const { return folder_.path(); }

 private:
  ScratchFolder folder_;
};

std::string part(const std::string& keys) {
  return "[{" + keys + "}]";
}

}  // namespace

TEST_CASE("a part names its picture in any of the ways in use") {
  const Data data;
  for (
      const char* keys :
      {R"("type": "image", "image": "a.png")", R"("type": "image", "path": "a.png")",
       R"("type": "image", "url": "a.png")", R"("type": "image", "image_url": "a.png")",
       R"("type": "image_url", "image_url": {"url": "a.png"})",
       R"("type": "image_url", "image_url": {"url": "a.png", "detail": "high"})", R"("image": "a.png")",
       R"("type": "image", "image": {"path": "a.png", "bytes": null})",
       R"("type": "image", "image": {"path": "a.png"})",
       R"("type": "image", "image": "a.png", "path": null, "url": null, "image_url": null, "text": null, "video": null)"}) {
    CAPTURE(keys);
    CHECK(data.pictures(part(keys)) == "a.png ");
  }
  CHECK(data.pictures(part(R"("type": "image", "image": "file://)" + data.folder() + R"(/a.png")")) ==
        "a.png ");
  CHECK(data.pictures(part(R"("type": "image", "image": ")" + data.folder() + R"(/a.png")")) == "a.png ");
  CHECK(data.refusal(part(R"("type": "image", "image": "a.png", "url": "a.png")")) ==
        "message 1, part 1: an image with \"image\" and \"url\"; keep one of them");
  CHECK(data.refusal(part(R"("type": "image_url", "image_url": {"url": "a.png", "detail": "low"})")) ==
        "message 1, part 1: \"detail\": \"low\" is not supported; limit the pixels of the image with "
        "max_pixels");
  CHECK(data.refusal(part(R"("type": "image", "image": {"path": null, "bytes": null})")) ==
        "message 1, part 1: an image without \"path\", \"bytes\" or \"url\"");
  CHECK(data.refusal(part(R"("type": "image", "image": {"file": "a.png"})")) ==
        "message 1, part 1: unknown key \"file\"; valid: \"path\", \"bytes\", \"url\", \"detail\"");
  CHECK(data.refusal(part(R"("type": "text", "text": "t", "image": "a.png")")) ==
        "message 1, part 1: unknown key \"image\"; valid: \"type\", \"text\", \"index\"");
}

TEST_CASE("a picture in the data: data URIs of every kind, line breaks, no padding, bare base64, bytes") {
  const Data data;
  const auto read = [&](const std::string& value) {
    return data.pictures(part(R"("type": "image", "image": )" + value));
  };
  for (const char* head :
       {"data:image/png;base64,", "data:image;base64,", "data:image/jpeg;charset=x;base64,",
        "data:application/octet-stream;base64,", "data:;base64,", "data:IMAGE/PNG;BASE64,", "base64,"}) {
    CAPTURE(head);
    CHECK(read("\"" + std::string(head) + "Zm9vYg==\"") == "foob ");
    CHECK(read("\"" + std::string(head) + "Zm9v\\nYg\\r\\n\"") == "foob ");
  }
  CHECK(read("{\"bytes\": \"Zm9v\", \"path\": \"no such file\"}") == "foo ");
  CHECK(data.pictures(part(R"("type": "image", "base64": "Zm9v")")) == "foo ");
  CHECK(read("\"" + kPng + "\"").starts_with("\x89PNG"));
  CHECK(data.pictures("\"<image>\"", R"(, "images": [{"bytes": "Zm9v", "path": null}])") == "foo ");
  // What is too short or no base64 is a path.
  CHECK(failure_of([&] { read("\"iVBORw0KGgo.png\""); }).code == ExitCode::missing_input);
  CHECK(failure_of([&] { read("\"/9j/none.jpg\""); }).code == ExitCode::missing_input);
  // However long it is, the line that is said stays short.
  const std::string broken = data.refusal(
      part("\"type\": \"image\", \"image\": \"data:image;base64," + std::string(1'000'000, '!') + "\""));
  CHECK(broken.starts_with("message 1, part 1: the image in the data is not valid base64: !!!"));
  CHECK(broken.size() < 200);
}

TEST_CASE("a part's own picture and a list of pictures agree, or are an error") {
  const Data data;
  const std::string named = R"([{"type": "image", "image": "a.png"}, {"type": "text", "text": "and"},
                                {"type": "image", "image": "b.png"}])";
  CHECK(data.pictures(named) == "a.png b.png ");
  CHECK(data.pictures(named, R"(, "images": ["a.png", "b.png"])") == "a.png b.png ");
  CHECK(contains(data.refusal(named, R"(, "images": ["b.png", "a.png"])"), "image number 1 is "));
  CHECK(contains(data.refusal(named, R"(, "images": ["b.png", "a.png"])"), "in the list; keep one of them"));
  // In whatever spelling.
  const std::string absolute = data.folder() + "/b.png";
  CHECK(data.pictures(named, R"(, "images": ["./a.png", ")" + absolute + "\"]") == "a.png b.png ");
  CHECK(data.pictures(named, R"(, "images": ["../)" + data.folder().substr(data.folder().rfind('/') + 1) +
                                 R"(/a.png", "b.png"])") == "a.png b.png ");
  CHECK(data.refusal(named, R"(, "images": ["./b.png", "./a.png"])").starts_with("image number 1 is "));
  CHECK(data.refusal(named, R"(, "images": ["a.png"])") ==
        "the messages show 2 images, 2 of them named by their parts, but 1 are listed beside them; list as "
        "many as are shown, in order, or only those that no part names");
  CHECK(data.refusal(part(R"("type": "image", "image": "a.png")"), R"(, "images": ["a.png", "b.png"])")
            .starts_with("the messages show 1 images, 1 of them named by their parts, but 2 are listed"));
  // Some are named, the others listed; or the list has them all.
  const std::string mixed = R"([{"type": "image", "image": "a.png"}, {"type": "image"}])";
  CHECK(data.pictures(mixed, R"(, "images": ["b.png"])") == "a.png b.png ");
  CHECK(data.pictures(mixed, R"(, "images": ["a.png", "b.png"])") == "a.png b.png ");
  CHECK(data.refusal(mixed, R"(, "images": ["b.png", "b.png"])").starts_with("image number 1 is "));
  CHECK(data.pictures("\"<image>\"", R"(, "image": "a.png")") == "a.png ");
  CHECK(data.pictures("\"<image> <image>\"", R"(, "image": ["a.png", "b.png"])") == "a.png b.png ");
  CHECK(data.refusal("\"What?\"", R"(, "image": "a.png")")
            .starts_with("0 <image> in the messages, but 1 images"));
}

TEST_CASE("a part may say which of the listed pictures it is") {
  const Data data;
  const auto parts = [](const std::string& first, const std::string& second) {
    return R"([{"index": null, "type": "text", "text": "t"}, {"type": "image", "text": null, "index": )" +
           first + R"(}, {"type": "image", "index": )" + second + "}]";
  };
  const std::string images = R"(, "images": ["a.png", "b.png"])";
  CHECK(data.pictures(parts("0", "1"), images) == "a.png b.png ");
  CHECK(data.pictures(parts("1", "0"), images) == "b.png a.png ");
  CHECK(data.pictures(parts("1.0", "0"), images) == "b.png a.png ");  // as pandas writes whole numbers
  CHECK(data.refusal(parts("0", "0"), images) == "no part has \"index\": 1, the image stands nowhere");
  CHECK(data.refusal(parts("0", "2"), images) == "a part with \"index\": 2, but 2 images");
  CHECK(data.refusal(parts("0", "null"), images) ==
        "some parts of kind image have an \"index\", others none");
}

TEST_CASE("a part asks for the size of its picture") {
  const Data data;
  const auto size = [&](const std::string& keys) {
    return data.read(part(R"("type": "image", "image": "a.png", )" + keys)).media.at(0).size;
  };
  CHECK(size(R"("min_pixels": 50176, "max_pixels": 60000)") ==
        AskedSize{.min_pixels = 50176, .max_pixels = 60000});
  CHECK(size(R"("resized_height": 280, "resized_width": 420)") ==
        AskedSize{.resized_height = 280, .resized_width = 420});
  CHECK(size(R"("max_pixels": null)") == AskedSize{});
  CHECK(
      data.read(part(R"("type": "image", "max_pixels": 784)"), R"(, "images": ["a.png"])").media.at(0).size ==
      AskedSize{.max_pixels = 784});
  const ChatMedia video =
      data
          .read(part(
              R"("type": "video", "video": ["a.png", "b.png"], "fps": 2.0, "nframes": 2, "max_pixels": 784)"))
          .media.at(0);
  CHECK(video.size == AskedSize{.max_pixels = 784});
  CHECK(video.frames_per_second == 2);
  const auto refusal = [&](const std::string& keys) {
    return data.refusal(part(R"("type": "image", "image": "a.png", )" + keys));
  };
  CHECK(refusal(R"("resized_height": 280)") ==
        "message 1, part 1: \"resized_height\" and \"resized_width\" are given together or not at all");
  CHECK(refusal(R"("min_pixels": 9, "max_pixels": 8)") ==
        "message 1, part 1: \"min_pixels\" 9 is more than \"max_pixels\" 8");
  CHECK(refusal(R"("max_pixels": 0)") ==
        "message 1, part 1: \"max_pixels\": expected a whole number from 1 to 178956970, got 0");
  CHECK(refusal(R"("max_pixels": "many")") ==
        "message 1, part 1: \"max_pixels\": expected a whole number, got \"many\"");
  CHECK(data.refusal(part(R"("type": "video", "video": ["a.png"], "nframes": 8)")) ==
        "message 1, part 1: \"nframes\": 8, but 1 frames; the frames of a video are listed, nothing is "
        "sampled");
  CHECK(data.refusal(part(R"("type": "video", "video": ["a.png"], "total_pixels": 9)")) ==
        "message 1, part 1: \"total_pixels\" is not supported: limit each frame with max_pixels");
}

TEST_CASE("<image> can be written as words") {
  const Data data;
  const ChatSample sample = data.read(R"("\\<image> is a tag, \\\\<image> too, <image>\n is one; \\<video>")",
                                      R"(, "images": ["a.png"])");
  REQUIRE(sample.messages[0].parts.size() == 3);
  CHECK(sample.messages[0].parts[0].text == "<image> is a tag, \\<image> too, ");
  CHECK(sample.messages[0].parts[2].text == "\n is one; <video>");
  const std::string answer =
      R"({"messages": [{"role": "system", "content": "<video>"}, {"role": "user", "content": "q"},
          {"role": "assistant", "content": "Write <image>, or \\<image>."}]})";
  const ScratchFolder folder;
  std::string line = answer;
  std::replace(line.begin(), line.end(), '\n', ' ');
  const ChatSample words =
      open_chat_data({.kind = DataKind::messages, .files = {folder.write("d.jsonl", line)}})->sample(0);
  CHECK(text_of(words.messages[0]) == "<video>");
  CHECK(text_of(words.messages[2]) == "Write <image>, or \\<image>.");
  CHECK(words.media.empty());
}
