#include "runtime/data/records/record_file.h"

#include <utility>

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

TEST_CASE("records are read in any order, and one that is bad does not hide the others") {
  const ScratchFolder folder;
  const std::string path = folder.write("x.jsonl", "{\"a\": 1}\r\n\n{\"a\": 2}\n{\"a\": }\n{\"a\": 4}");
  const RecordFile records(path);
  REQUIRE(records.size() == 4);
  CHECK(records.json(3)["a"] == 4);
  CHECK(records.json(0)["a"] == 1);
  CHECK(records.where(1) == path + ":3");
  CHECK(contains(failure_of([&] { records.json(2); }).message, path + ":4:7: not valid JSON"));
  CHECK_THROWS_AS(records.json(4), Error);
  CHECK_THROWS_AS(records.json(-1), Error);
  CHECK(failure_of([&] { RecordFile(folder / "no.jsonl"); }).code == ExitCode::missing_input);
}

TEST_CASE("a record longer than 16 MiB is refused, and those behind it are read") {
  const ScratchFolder folder;
  const std::string longest = "\"" + std::string(static_cast<std::size_t>(kMaxJsonLine) - 2, 'x') + "\"";
  const std::string path = folder.write("l.jsonl", longest + "\n" + longest + " \n4\n");
  const RecordFile records(path);
  REQUIRE(records.size() == 3);
  CHECK(records.json(0).get_ref<const std::string&>().size() == longest.size() - 2);
  CHECK(failure_of([&] { records.json(1); }) ==
        Failure{ExitCode::bad_data, path + ":2: longer than 16777216 bytes"});
  CHECK(records.json(2) == 4);
}

TEST_CASE("a file of another format is named with what to do, before its bytes are taken for JSON") {
  const ScratchFolder folder;
  const std::pair<std::string, const char*> files[] = {
      {"PAR1\x15", "a file of Parquet, which is not read; convert it to JSONL or tar shards"},
      {"\x28\xB5\x2F\xFD", "a file of Zstandard, which is not read; unpack it, or pack it with gzip"},
      {std::string("\xFF\xFE{\0", 4), "a file of UTF-16, which is not read; write it as UTF-8"}};
  for (const auto& [bytes, message] : files) {
    const std::string path = folder.write("o.jsonl", bytes);
    CHECK(failure_of([&] { RecordFile{path}; }) == Failure{ExitCode::bad_data, path + ": " + message});
  }
}

TEST_CASE("a file that shrinks after it was indexed is an error, not a crash") {
  const ScratchFolder folder;
  const std::string path = folder.write("s.jsonl", "1\n22222\n");
  const RecordFile records(path);
  REQUIRE(::truncate(path.c_str(), 4) == 0);
  CHECK(records.json(0) == 1);
  CHECK(failure_of([&] { records.json(1); }) ==
        Failure{ExitCode::bad_data, path + " ends at byte 4, but 5 bytes are wanted at 2"});
}
