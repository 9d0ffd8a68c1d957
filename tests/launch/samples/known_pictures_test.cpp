// Which pictures need not be decoded again.
#include "launch/samples/known_pictures.h"

#include <chrono>

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

data::ChatSample with_picture(data::MediaFile file) {
  data::ChatSample sample{.where = "a.jsonl:1", .id = "", .messages = {}, .media = {}};
  sample.media.push_back({.frames = {std::move(file)}});
  return sample;
}

DataSet set_of(const std::string& file) {
  DataSet set;
  set.name = file;
  set.chat.name = file;
  set.chat.file = file;
  return set;
}

}  // namespace

TEST_CASE(
    "the state of a picture changes with its file's name, size and times, and with the bytes in the data") {
  const ScratchFolder folder;
  const std::string path = folder.write("a.png", "picture");
  const u64 state = picture_state(with_picture({.path = path}));
  CHECK(picture_state(with_picture({.path = path})) == state);
  CHECK(picture_state(with_picture({.path = folder.write("b.png", "picture")})) != state);
  CHECK(picture_state(with_picture({.path = path, .offset = 1})) != state);  // another member of a shard
  const auto time = std::filesystem::last_write_time(path);
  folder.write("a.png", "picturE");
  std::filesystem::last_write_time(path, time);
  CHECK(picture_state(with_picture({.path = path})) != state);  // also with the time set back
  std::filesystem::last_write_time(path, time + std::chrono::seconds(1));
  CHECK(picture_state(with_picture({.path = path})) != state);
  folder.write("a.png", "pictures");
  std::filesystem::last_write_time(path, time);
  CHECK(picture_state(with_picture({.path = path})) != state);

  const auto in_data = [](const std::string& bytes) {
    return picture_state(with_picture({.path = "data URI", .content = std::make_shared<std::string>(bytes)}));
  };
  CHECK(in_data("x") == in_data("x"));
  CHECK(in_data("x") != in_data("y"));
  CHECK(failure_of([&] { picture_state(with_picture({.path = folder / "none.png"})); }).code ==
        ExitCode::missing_input);
}

TEST_CASE(
    "what is known of pictures is kept in the folder of indices, added to, and gone with the data file's "
    "state") {
  const ScratchFolder folder;
  const DataSet set = set_of(folder.write("a.jsonl", "1\n2\n3\n"));
  KnownPictures(set, folder.path()).remember({7, 0, 9});
  KnownPictures(set, folder.path()).remember({0, 8});
  const KnownPictures known(set, folder.path());
  CHECK(known.has(0, 7));
  CHECK(known.has(1, 8));
  CHECK(known.has(2, 9));
  CHECK_FALSE(known.has(2, 8));
  CHECK_FALSE(known.has(3, 9));
  KnownPictures(set, "").remember({1, 2, 3});  // nowhere
  CHECK_FALSE(KnownPictures(set, "").has(0, 7));
  folder.write("a.jsonl", "1\n2\n3\n4\n");
  CHECK_FALSE(KnownPictures(set, folder.path()).has(0, 7));
}
