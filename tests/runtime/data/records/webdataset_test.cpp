#include "runtime/data/records/webdataset.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/records/check_data.h"
#include "tests/support/failure.h"
#include "tests/support/media_bytes.h"
#include "tests/support/path_escapes.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tar_maker.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kQuestion =
    R"({"messages": [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "a"}])";

std::string text_of_media(const MediaFile& file) {
  const auto bytes = media_bytes(file);
  return {bytes.begin(), bytes.end()};
}

// One shard; what is said about it without its name in front.
class TarShard {
 public:
  std::string write(const std::string& bytes) const { return folder_.write("s.tar", bytes + tar_end()); }
  std::string refusal(const std::string& bytes) const {
    const std::string path = write(bytes);
    const Failure failure = failure_of([&] { check_samples(WebDataset({path})); });
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(failure.message.starts_with(path + ":"));
    return failure.message.substr(std::min(failure.message.size(), path.size() + 1));
  }
  const ScratchFolder& folder() const { return folder_; }

 private:
  ScratchFolder folder_;
};

}  // namespace

TEST_CASE("consecutive members with the same name up to the first dot are a sample") {
  const TarShard shard;
  const WebDataset data(
      {shard.write(tar_member("d.x/a.img2.jpg", "second") +
                   tar_member("d.x/a.json", kQuestion + R"(, "images": ["d.x/a.img2.jpg"]})") +
                   tar_member("d.x/b.json", kQuestion + R"(, "images": ["img.png"]})") +
                   tar_member("d.x/b.img.png", "third") + tar_member("d.x/._b.json", "of the archiver") +
                   tar_member("__meta.json", "{}") + tar_member("d.x/b.cls", "7") +
                   tar_member("c.PNG", "fourth") + tar_member("c.json", kQuestion + "}"))});
  REQUIRE(data.size() == 3);
  CHECK(text_of_media(data.sample(0).media.at(0).frames.at(0)) == "second");
  CHECK(text_of_media(data.sample(1).media.at(0).frames.at(0)) == "third");
  CHECK(text_of_media(data.sample(2).media.at(0).frames.at(0)) == "fourth");
  CHECK(data.where(1) == shard.folder() / "s.tar:d.x/b");
  CHECK(data.sample(1).where == data.where(1));
}

TEST_CASE("links, devices and pipes in a shard are refused by name, but not those of the archiver") {
  const TarShard shard;
  const std::string picture = tar_member("a.json", kQuestion + "}") + tar_member("a.jpg", "1");
  CHECK(shard.refusal(tar_member("a.json", kQuestion + "}") + tar_block({.name = "a.jpg", .type = '2'})) ==
        " the member a.jpg is a link to , whose content is not here; write the archive with the files "
        "themselves (tar --dereference --hard-dereference)");
  for (const char type : {'1', '3', '4', '6'})
    CHECK(contains(shard.refusal(picture + tar_block({.name = "b.png", .type = type})),
                   "the member b.png is a"));
  CHECK(WebDataset({shard.write(picture + tar_block({.name = "._b.png", .type = '2'}))}).size() == 1);
}

TEST_CASE("pictures that a record does not name are taken in the order of the archive") {
  const TarShard shard;
  const auto sample = [&](const std::string& json) {
    return WebDataset({shard.write(tar_member("a.img2.jpg", "1") + tar_member("a.img10.jpg", "2") +
                                   tar_member("a.json", json) + tar_member("a.b.c.png", "3"))})
        .sample(0);
  };
  const ChatSample all = sample(
      R"({"conversations": [{"from": "human", "value": "<image> <image>\n<image>"}, {"from": "gpt", "value": "a"}]})");
  REQUIRE(all.media.size() == 3);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(text_of_media(all.media[i].frames.at(0)) == std::to_string(i + 1));
  // One is named in a part: the others follow.
  const ChatSample named = sample(
      R"({"messages": [{"role": "user", "content": [{"type": "image", "image": "a.img10.jpg"}, {"type": "text", "text": "<image><image>"}]},
          {"role": "assistant", "content": "x"}]})");
  REQUIRE(named.media.size() == 3);
  CHECK(text_of_media(named.media[0].frames.at(0)) == "2");
  CHECK(text_of_media(named.media[1].frames.at(0)) == "1");
  CHECK(text_of_media(named.media[2].frames.at(0)) == "3");
}

TEST_CASE("a record of a shard reaches no file, and a member's name none either") {
  const ScratchFolder outside;
  outside.write("secret", "x");
  const TarShard shard;
  for (const std::string& way : path_escapes(outside.path())) {
    CAPTURE(way);
    const std::string json = Json{
        {"messages", {{{"role", "user"}, {"content", "<image>"}}, {{"role", "assistant"}, {"content", "a"}}}},
        {"images", {way}}}.dump();
    shard.refusal(tar_member("a.json", json) + tar_member("a.png", "1"));
    // Nothing is extracted: a member of such a name is a place in the shard, or refused.
    if (way.empty() || way.size() > 90 || way.find('\0') != std::string::npos) continue;
    const std::string path =
        shard.write(tar_member(way + ".json", kQuestion + "}") + tar_member(way + ".png", "1"));
    const Failure failure = failure_of([&] {
      const WebDataset data({path});
      const MediaFile picture = data.sample(0).media.at(0).frames.at(0);
      CHECK(picture.path == path);
      CHECK(text_of_media(picture) == "1");
    });
    CHECK((failure.code == ExitCode::done || failure.code == ExitCode::bad_data));
  }
}

TEST_CASE("samples of a shard that are wrong are refused by shard and name") {
  const TarShard shard;
  const std::string good = tar_member("a.jpg", "x") + tar_member("a.json", kQuestion + "}");
  CHECK(shard.refusal(good + tar_member("b.json", kQuestion + "}")) ==
        "b: 1 <image> in the messages, but 0 images; write \\<image> where the word is meant");
  CHECK(
      shard.refusal(good + tar_member("b.jpg", "x") + tar_member("b.2.jpg", "x") +
                    tar_member("b.json", kQuestion + "}")) ==
      "b: 1 <image> in the messages, but 2 images; write <image> into a text of the user where each stands");
  CHECK(shard.refusal(good + tar_member("b.jpg", "x")) ==
        "b: no JSON member, and no caption (a .txt or \"caption\")");
  CHECK(shard.refusal(good + tar_member("b.json", kQuestion + "}") + tar_member("b.npy", "x")) ==
        "b: b.npy is of no known type (pictures, json, txt); name it in ignore: [npy] of the data set's "
        "entry if "
        "it says nothing for training");
  CHECK(shard.refusal(good + tar_member("b.json", kQuestion + "}") + tar_member("b.heic", "x")) ==
        "b: b.heic is of no kind of picture that is read (JPEG, PNG, GIF, WebP, BMP, TIFF); convert it");
  CHECK(shard.refusal(good + tar_member("b.json", kQuestion + R"(, "images": ["b.1.jpg"]})") +
                      tar_member("b.1.jpg", "x") + tar_member("b.2.webp", "x")) ==
        "b: the record does not name the picture b.2.webp; name all pictures of the sample or none");
  CHECK(shard.refusal(good + tar_member("b.json", "{}") + tar_member("b.x.json", "{}")) ==
        "b: two json members, b.json and b.x.json");
  CHECK(
      shard.refusal(good + tar_member("b.json", "{\"a\":\n 1,}")).starts_with("b.json:2:4: not valid JSON"));
  CHECK(shard.refusal(good + tar_member("b.json", "{\"x\": 1}")) ==
        "b: no \"messages\", \"conversations\", \"text\", \"query\" or \"instruction\" in its JSON, and no "
        "caption "
        "(a .txt or \"caption\")");
  CHECK(shard.refusal(good + tar_member("b.json", kQuestion + R"(, "images": ["../a.jpg"]})")) ==
        "b: image 1: the image ../a.jpg is not a member of the sample");
  CHECK(shard.refusal(good + tar_member("b.json", kQuestion + R"(, "images": ["a.jpg"]})")) ==
        "b: image 1: the image a.jpg is not a member of the sample");
  CHECK(shard.refusal(good + tar_member("b.json", kQuestion + R"(, "images": ["/etc/passwd"]})")) ==
        "b: image 1: the image /etc/passwd is not a member of the sample");
  CHECK(shard.refusal(good + tar_member("b.jpg", "x") + tar_member("b.jpg", "y")) ==
        " the member b.jpg is there twice");
  CHECK(shard.refusal(tar_member("__meta.json", "{}")) == " no samples");
}

TEST_CASE("a data set that is read by a program of its own is refused") {
  const TarShard shard;
  const std::string path = shard.write(tar_member("a.json", R"({"text": "t"})"));
  CHECK(WebDataset({path}).size() == 1);
  std::filesystem::create_directory(shard.folder() / ".nv-meta");
  shard.folder().write(".nv-meta/sample_loader.py", "print()");
  const Failure failure = failure_of([&] { WebDataset({path}); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message,
                 ".nv-meta/sample_loader.py: the samples of this data set are to be read by a program"));
  CHECK(contains(failure_of([&] { WebDataset({shard.folder() / ".nv-meta/sample_loader.py"}); }).message,
                 "a program, not a tar shard"));
}

TEST_CASE("shards are named by paths, patterns and ranges") {
  const ScratchFolder folder;
  for (const char* name : {"b-2.tar", "b-10.tar", "a.tar"}) folder.write(name, "");
  const auto names = [&](const std::vector<std::string>& patterns) {
    std::vector<std::string> found;
    for (const std::string& path : expand_shards(patterns))
      found.push_back(std::filesystem::path(path).filename().string());
    return found;
  };
  using Names = std::vector<std::string>;
  CHECK(names({folder / "a.tar", folder / "b-*.tar"}) == Names{"a.tar", "b-10.tar", "b-2.tar"});
  CHECK(names({folder / "x-{08..11}-{1..2}.tar"}) == Names{"x-08-1.tar", "x-08-2.tar", "x-09-1.tar",
                                                           "x-09-2.tar", "x-10-1.tar", "x-10-2.tar",
                                                           "x-11-1.tar", "x-11-2.tar"});
  CHECK(names({"{a,b}.tar", "{1..x}.tar"}) == Names{"{a,b}.tar", "{1..x}.tar"});
  CHECK(failure_of([&] { names({folder / "c*.tar"}); }) ==
        Failure{ExitCode::missing_input, folder / "c*.tar: no file matches"});
  CHECK(failure_of([&] { names({"{5..3}.tar"}); }).code == ExitCode::usage);
  CHECK(failure_of([&] { names({"{0..999999999}.tar"}); }).code == ExitCode::usage);
  CHECK(failure_of([&] {
          names({folder / "a.tar", folder / "a*.tar"});
        }).message == "the shard " + (folder / "a.tar") + " is named twice");
}

TEST_CASE("a picture is read from where it stands in its shard") {
  const std::string pictures = "tests/goldens/data_formats/pictures/";
  const WebDataset data(expand_shards({"tests/goldens/data_formats/shards/train-*.tar"}));
  const ChatSample sample = data.sample(1);
  REQUIRE(sample.media.size() == 2);
  CHECK(decode_image_file(sample.media[0].frames[0]).rgb == decode_image_file(pictures + "red.png").rgb);
  CHECK(decode_image_file(sample.media[1].frames[0]).rgb == decode_image_file(pictures + "blue.jpg").rgb);
  CHECK(read_image_size(sample.media[1].frames[0]) == ImageSize{7, 9});
  MediaFile outside = sample.media[1].frames[0];
  outside.bytes = i64{1} << 20;
  CHECK(failure_of([&] { decode_image_file(outside); }).code == ExitCode::bad_data);
  outside.bytes = i64{1} << 40;
  CHECK(failure_of([&] { decode_image_file(outside); }).code == ExitCode::bad_data);
}
