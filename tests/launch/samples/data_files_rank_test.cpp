// Packed data files on the ranks of a node (here: all of them).
#include <filesystem>

#include <doctest/doctest.h>

#include "launch/samples/data_files.h"
#include "tests/support/failure.h"
#include "tests/support/gzip_maker.h"
#include "tests/support/rank_test.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;

namespace {

// A file of the first rank, under the same path on all.
struct Shared {
  ScratchFolder folder;
  std::string write(const std::string& name, const std::string& content) {
    const std::string mine = test_world().rank() == 0 ? folder.write(name, content) : "";
    return test_world().all_gather(mine, {}, "path").front();
  }
};

}  // namespace

TEST_CASE("the ranks of a node read one unpacked file, and a second look at it unpacks nothing") {
  Shared shared;
  const std::string text(3'000'000, 'x'), path = shared.write("a.gz", gzip_of(text));
  const OpenFile open = launch::open_on_node(test_world(), {});
  const InputFile file = open(path), again = open(path);
  CHECK(file.path() == path);
  CHECK(file.size() == 3'000'000);
  CHECK(again.identity() == file.identity());
  for (const FileIdentity& other : test_world().all_gather(file.identity(), {}, "identity"))
    CHECK(other == file.identity());
  const OpenFile alone = launch::open_alone();
  CHECK(!(alone(path).identity() == file.identity()));
  test_world().barrier({});
}

TEST_CASE(
    "a packed file that is damaged is refused on all ranks, and files that are not packed are opened as they "
    "are") {
  Shared shared;
  const std::string packed = gzip_of(std::string(100'000, 'x'));
  const std::string cut = shared.write("cut.gz", packed.substr(0, packed.size() / 2)),
                    plain = shared.write("plain.txt", "plain");
  const OpenFile open = launch::open_on_node(test_world(), {});
  const Failure failure = failure_of([&] { open(cut); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, "cut.gz: cut off"));
  CHECK(open(plain).size() == 5);
  test_world().barrier({});
}

TEST_CASE("a rank that finds another file under the path reads that one") {
  Shared shared;
  const std::string packed = shared.write("a.gz", gzip_of("packed")),
                    plain = shared.write("b", "plain and long");
  const std::string mine = test_world().rank() == 1 ? plain : packed;
  const OpenFile open = launch::open_on_node(test_world(), {});
  CHECK(open(mine).size() == (test_world().rank() == 1 ? 14 : 6));
  test_world().barrier({});
}
