// Shards of pictures with captions, and files that gzip packed.
#include <doctest/doctest.h>

#include "runtime/data/records/check_data.h"
#include "runtime/data/records/open_data.h"
#include "tests/support/failure.h"
#include "tests/support/gzip_maker.h"
#include "tests/support/media_bytes.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tar_maker.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kMetadata =
    R"({"caption": "A cat.", "url": "https://x.org/a.jpg", "key": "000", "status": "success", "error_message": null,
        "width": 4, "height": 5, "original_width": 8, "original_height": 10, "exif": "{}", "sha256": "00"})";

std::string shown_sample(const ChatSample& sample) {
  std::string all;
  for (const ChatMessage& message : sample.messages) {
    for (const ChatPart& part : message.parts) all += part.is_text() ? "(" + part.text + ")" : "*";
    all += message.loss ? "!" : "?";
  }
  for (const ChatMedia& media : sample.media) {
    const auto bytes = media_bytes(media.frames.at(0));
    all += " " + std::string(bytes.begin(), bytes.end());
  }
  return all;
}

class Shard {
 public:
  std::unique_ptr<ChatData> open(const std::string& members,
                                 const std::vector<std::string>& ignore = {}) const {
    return open_chat_data({.kind = DataKind::webdataset,
                           .files = {folder_.write("s.tar", members + tar_end())},
                           .ignore = ignore});
  }
  std::string refusal(const std::string& members) const {
    const Failure failure = failure_of([&] { open(members)->sample(0); });
    CHECK(failure.code == ExitCode::bad_data);
    const std::string prefix = (folder_ / "s.tar") + ":";
    return failure.message.starts_with(prefix) ? failure.message.substr(prefix.size()) : failure.message;
  }

 private:
  ScratchFolder folder_;
};

}  // namespace

TEST_CASE("a picture with its caption is a sample that answers with the caption") {
  const Shard shard;
  const std::string picture = tar_member("a.jpg", "picture");
  CHECK(shown_sample(shard.open(picture + tar_member("a.json", kMetadata) + tar_member("a.txt", "A cat."))
                         ->sample(0)) == "*?(A cat.)! picture");
  CHECK(shown_sample(shard.open(picture + tar_member("a.txt", "A <image> of\na cat.\n"))->sample(0)) ==
        "*?(A <image> of\na cat.)! picture");
  CHECK(shown_sample(shard.open(picture + tar_member("a.json", kMetadata))->sample(0)) ==
        "*?(A cat.)! picture");
  CHECK(shown_sample(
            shard.open(picture + tar_member("a.2.png", "second") + tar_member("a.txt", "Two."))->sample(0)) ==
        "**?(Two.)! picture second");
  CHECK(shown_sample(shard
                         .open(picture + tar_member("a.txt",
                                                    "\xEF\xBB\xBF"
                                                    "A cat.\r\n"))
                         ->sample(0)) == "*?(A cat.)! picture");
  CHECK(shown_sample(shard.open(picture + tar_member("a.cls", "7") + tar_member("a.txt", "x"))->sample(0)) ==
        "*?(x)! picture");
}

TEST_CASE("captions that say two things, nothing or something unknown are refused by name") {
  const Shard shard;
  const std::string picture = tar_member("a.jpg", "picture");
  CHECK(shard.refusal(picture + tar_member("a.json", kMetadata) + tar_member("a.txt", "A dog.")) ==
        "a: its text \"A dog.\" is not its \"caption\", \"A cat.\"; keep one of them");
  CHECK(shard.refusal(picture + tar_member("a.txt", "")) == "a: the caption: empty content");
  CHECK(shard.refusal(tar_member("a.txt", "x")) == "a: a caption without a picture");
  CHECK(shard.refusal(picture + tar_member("a.txt", "\xFF")) == "a.txt: invalid UTF-8 at byte 0");
  CHECK(shard.refusal(picture + tar_member("a.txt", "x") + tar_member("a.json", R"({"my_score": 5})")) ==
        "a: unknown key \"my_score\"; valid: \"caption\", \"status\", \"error_message\"");
  CHECK(shard.refusal(picture + tar_member("a.txt", "x") + tar_member("a.json", R"({"status": "failed"})")) ==
        "a: \"status\" is \"failed\", not \"success\"");
  CHECK(shard.refusal(picture + tar_member("a.txt", "x") + tar_member("a.json", "[]")) ==
        "a: its JSON is not an object");
  // As the user says.
  CHECK(shown_sample(shard
                         .open(picture + tar_member("a.json", R"({"my_score": 5, "caption": "old"})") +
                                   tar_member("a.txt", "new") + tar_member("a.npy", "0"),
                               {"my_score", "caption", "npy"})
                         ->sample(0)) == "*?(new)! picture");
}

TEST_CASE("files that gzip packed are the data that they hold") {
  const ScratchFolder folder;
  const std::string lines = "{\"text\": \"one\"}\n\n{\"text\": \"two\"}\n{\"text\": 3}\n";
  const std::string path = folder.write("d.jsonl.gz", gzip_of(lines));
  CHECK(guess_data_spec(path).kind == DataKind::text);
  const auto data = open_chat_data({.kind = DataKind::text, .files = {path}});
  REQUIRE(data->size() == 3);
  CHECK(text_of(data->sample(1).messages[0]) == "two");
  CHECK(data->where(1) == path + ":3");
  CHECK(failure_of([&] { data->sample(2); }).message == path + ":4: \"text\": expected a string, got 3");
  // With an index that was written before.
  data->write_index("");
  CHECK(text_of(open_chat_data({.kind = DataKind::text, .files = {path}})->sample(1).messages[0]) == "two");

  const std::string members = tar_member("a.jpg", "first") + tar_member("a.txt", "one") +
                              tar_member("b.jpg", "second") + tar_member("b.txt", "two") + tar_end();
  for (const char* name : {"s.tar.gz", "s.tgz", "s.tar"}) {
    CAPTURE(name);
    const std::string shard = folder.write(name, std::string(name) == "s.tar" ? members : gzip_of(members));
    CHECK(guess_data_spec(shard).kind == DataKind::webdataset);
    const auto packed = open_chat_data({.kind = DataKind::webdataset, .files = {shard}});
    REQUIRE(packed->size() == 2);
    CHECK(shown_sample(packed->sample(1)) == "*?(two)! second");
    CHECK(shown_sample(packed->sample(0)) == "*?(one)! first");
  }
  folder.write("cut.jsonl.gz", gzip_of(lines).substr(0, 30));
  CHECK(failure_of([&] { open_chat_data({.kind = DataKind::text, .files = {folder / "cut.jsonl.gz"}}); }) ==
        Failure{ExitCode::bad_data,
                folder / "cut.jsonl.gz: cut off: the packed file ends before its content does; "
                         "fetch or pack it again"});
}
