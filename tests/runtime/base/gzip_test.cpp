#include "runtime/base/gzip.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/gzip_maker.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;

namespace {

std::string content_of(const InputFile& file) {
  std::string content(static_cast<std::size_t>(file.size()), '\0');
  file.read_exactly_at(content.data(), file.size(), 0);
  return content;
}

// Nothing that packs well, nothing that does not pack at all.
std::string some_text(std::size_t bytes) {
  std::string text;
  for (u64 x = 1; text.size() < bytes; x = x * 6364136223846793005U + 1442695040888963407U)
    text += fmt::format("{}\n", x >> 44);
  return text;
}

}  // namespace

TEST_CASE("a packed file is read like what it holds, at any place") {
  const ScratchFolder folder;
  const std::string text = some_text(5'000'000);
  const InputFile file = open_unpacked(folder.write("a.gz", gzip_of(text)));
  CHECK(content_of(file) == text);
  CHECK(file.path() == folder / "a.gz");
  std::string part(100, '\0');
  file.read_exactly_at(part.data(), 100, 3'000'000);
  CHECK(part == text.substr(3'000'000, 100));
  // What unpacks a thousandfold fills no buffer for good.
  const std::string zeros(20'000'000, '\0');
  CHECK(content_of(open_unpacked(folder.write("z.gz", gzip_of(zeros)))) == zeros);
  CHECK(content_of(open_unpacked(folder.write("e.gz", gzip_of("")))).empty());
  CHECK(content_of(open_unpacked(folder.write("plain.gz", "not packed"))) == "not packed");
}

TEST_CASE("several packed pieces are one file, zeros behind them do not count") {
  const ScratchFolder folder;
  const std::string first = some_text(100'000);
  CHECK(content_of(open_unpacked(folder.write(
            "a.gz", gzip_of(first) + gzip_of("second") + std::string(3'000'000, '\0')))) == first + "second");
}

TEST_CASE("a packed file that is cut off or damaged is refused by name") {
  const ScratchFolder folder;
  const std::string packed = gzip_of(some_text(200'000));
  const auto refusal = [&](const std::string& bytes) {
    const Failure failure = failure_of([&] { open_unpacked(folder.write("a.gz", bytes)); });
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(failure.message.starts_with(folder / "a.gz: "));
    return failure.message;
  };
  for (const std::size_t left : {std::size_t{5}, std::size_t{10}, packed.size() / 2, packed.size() - 1})
    CHECK(contains(refusal(packed.substr(0, left)), "cut off"));
  CHECK(contains(refusal(packed + "rest"), "damaged at byte"));
  for (const std::size_t at :
       {std::size_t{3}, packed.size() / 2, packed.size() - 6}) {  // flags, data, check sum
    std::string flipped = packed;
    flipped[at] = static_cast<char>(flipped[at] ^ 0xE0);
    CHECK(refusal(flipped).size() > 0);
  }
}

TEST_CASE("unpacking says how far it is, in bytes of the packed file") {
  const ScratchFolder folder;
  const std::string packed = gzip_of(some_text(6'000'000));
  std::vector<i64> done;
  open_unpacked(folder.write("a.gz", packed), [&](i64 bytes, i64 total) {
    CHECK(total == static_cast<i64>(packed.size()));
    done.push_back(bytes);
  });
  CHECK(done.size() > 1);
  CHECK(std::is_sorted(done.begin(), done.end()));
  CHECK(done.back() == static_cast<i64>(packed.size()));
}
