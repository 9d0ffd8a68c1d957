#include "runtime/data/records/index_file.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/data/records/open_data.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tar_maker.h"

using namespace longsight;
using namespace longsight::data;

namespace {

void set_time(const std::string& path, time_t seconds) {
  const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

std::string second_text(const DataSpec& spec) {
  const auto data = open_chat_data(spec);
  return data->size() < 2 ? "" : text_of(data->sample(1).messages.back());
}

}  // namespace

TEST_CASE("an index comes back as it was written, until the file, the kind or a byte of it changes") {
  const ScratchFolder folder;
  const std::string path = folder.write("d.jsonl", "12345678");
  set_time(path, 1000);
  const DataIndex index{.numbers = {1, -2, i64{1} << 62}, .text = "names", .fingerprint = 77};
  CHECK(!read_index(path, "", "k").has_value());
  CHECK(write_index(path, "", "k", state_of(path), index) == path + ".index");
  const auto back = read_index(path, "", "k");
  REQUIRE(back.has_value());
  CHECK(back->numbers == index.numbers);
  CHECK(back->text == "names");
  CHECK(back->fingerprint == 77);
  CHECK(!read_index(path, "", "other").has_value());

  const std::string bytes = contents_of(path + ".index");
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    folder.write("d.jsonl.index", changed);
    CHECK(!read_index(path, "", "k").has_value());
    folder.write("d.jsonl.index", bytes.substr(0, at));
    CHECK(!read_index(path, "", "k").has_value());
  }
  folder.write("d.jsonl.index", bytes);
  CHECK(read_index(path, "", "k").has_value());
  set_time(path, 1001);
  CHECK(!read_index(path, "", "k").has_value());
  // As large as before, and with its time set back.
  const FileState before = state_of(path);
  folder.write("d.jsonl", "12345670");
  set_time(path, 1001);
  CHECK(state_of(path).changed_ns == before.changed_ns);
  CHECK(!read_index(path, "", "k").has_value());
  write_index(path, "", "k", state_of(path), index);
  CHECK(read_index(path, "", "k").has_value());
  std::ofstream(path, std::ios::app) << "9";
  set_time(path, 1001);
  CHECK(!read_index(path, "", "k").has_value());
}

TEST_CASE("records are read from where they stand after the file has changed in place") {
  const ScratchFolder folder;
  const std::string path = folder.write("d.jsonl", "{\"text\": \"aaaa\"}\n{\"text\": \"bbbb\"}\n");
  const DataSpec spec{.kind = DataKind::text, .files = {path}};
  set_time(path, 1000);
  open_chat_data(spec)->write_index("");
  folder.write("d.jsonl", "{\"text\": \"aaaaaa\"}\n{\"text\": \"bb\"}\n");
  set_time(path, 1000);
  CHECK(second_text(spec) == "bb");
}

TEST_CASE("files of the same name have indices of their own in a common folder") {
  CHECK(index_path("a/train.json", "") == "a/train.json.index");
  const std::string a = index_path("a/train.json", "cache"), b = index_path("b/train.json", "cache");
  CHECK(a.starts_with("cache/train.json-"));
  CHECK(a.ends_with(".index"));
  CHECK(a != b);
  CHECK(index_path("./a/../a/train.json", "cache") == a);
}

TEST_CASE("data open through their index with the same samples and fingerprint, and without a scan") {
  const ScratchFolder folder;
  const std::string text = "[{\"text\": \"one\"},\n {\"text\": \"two\"}]";
  const std::string array = folder.write("d.json", text);
  const std::string lines = folder.write("d.jsonl", "{\"text\": \"one\"}\n\n{\"text\": \"two\"}\n");
  const std::string shard = folder.write("s.tar", tar_member("a.json", R"({"text": "one"})") +
                                                      tar_member("b.json", R"({"text": "two"})") + tar_end());
  for (const DataSpec& spec : {DataSpec{.kind = DataKind::text, .files = {array}},
                               DataSpec{.kind = DataKind::text, .files = {lines}},
                               DataSpec{.kind = DataKind::webdataset, .files = {shard}}}) {
    CAPTURE(spec.files.front());
    set_time(spec.files.front(), 1000);
    const auto first = open_chat_data(spec);
    CHECK(first->write_index("") == std::vector<std::string>{spec.files.front() + ".index"});
    const auto second = open_chat_data(spec);
    CHECK(second->fingerprint() == first->fingerprint());
    REQUIRE(second->size() == 2);
    CHECK(second->where(1) == first->where(1));
    CHECK(second_text(spec) == "two");
  }
  // What the index says is believed: the end of the array is not looked at again.
  const auto known = read_index(array, "", "json array");
  REQUIRE(known.has_value());
  std::string cut = text;
  cut.back() = ' ';
  folder.write("d.json", cut);
  write_index(array, "", "json array", state_of(array), *known);
  CHECK(second_text({.kind = DataKind::text, .files = {array}}) == "two");
  set_time(array, 1001);
  CHECK(contains(failure_of([&] { open_chat_data({.kind = DataKind::text, .files = {array}}); }).message,
                 "the file ends before the array does"));
  // An index for numbers that no shard has is none.
  for (const std::vector<i64>& numbers : {std::vector<i64>{},
                                          {5},
                                          {-1},
                                          {1, 0},
                                          {1, 0, 0, 0, 0, 99},
                                          {1, 3, 0, 0, 0, 0},
                                          {2, 0, 0, 0, 0, 0, 1},
                                          {1, 0, -5, 0, 0, 1}}) {
    write_index(shard, "", "whole tar shard", state_of(shard),
                {.numbers = numbers, .text = "n", .fingerprint = 1});
    CHECK(second_text({.kind = DataKind::webdataset, .files = {shard}}) == "two");
  }
}

TEST_CASE("an index may lie in a folder of its own") {
  const ScratchFolder data, cache;
  const std::string path = data.write("d.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  const DataSpec spec{.kind = DataKind::text, .files = {path}, .index_folder = cache.path()};
  const auto written = open_chat_data(spec)->write_index(cache.path());
  CHECK(written == std::vector<std::string>{index_path(path, cache.path())});
  CHECK(std::filesystem::exists(written.front()));
  CHECK(data.entries() == 1);
  CHECK(second_text(spec) == "two");
}
