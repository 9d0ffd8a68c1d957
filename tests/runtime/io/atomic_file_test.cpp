#include "runtime/io/atomic_file.h"

#include <csignal>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::io;

namespace {

// No file may grow beyond `bytes` while this lives: write() fails as on a full disk, but with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// Not root while this lives: root may write everywhere.
class Unprivileged {
 public:
  Unprivileged() : was_root_(::geteuid() == 0) {
    if (was_root_) REQUIRE(::seteuid(65534) == 0);
  }
  ~Unprivileged() {
    if (was_root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool was_root_;
};

}  // namespace

TEST_CASE("a file appears whole at its commit, under the name asked for") {
  ScratchFolder folder;
  const std::string path = folder / "x.bin", big(3'000'000, 'b');
  {
    AtomicFile file(path);
    file.write("head ");
    file.write(big);
    file.write(" tail");
    CHECK(file.bytes() == 3'000'010);
    CHECK(!std::filesystem::exists(path));
    CHECK(folder.entries() == 1);  // the temporary one, beside it
    file.commit();
    CHECK(contents_of(path) == "head " + big + " tail");
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("pieces of every size arrive in order") {
  ScratchFolder folder;
  std::string expected;
  AtomicFile file(folder / "x");
  for (std::size_t i = 0; i < 40; ++i) {
    const std::string piece(i * i * 777, static_cast<char>('a' + i % 26));
    file.write(piece);
    expected += piece;
  }
  file.commit();
  CHECK(contents_of(folder / "x") == expected);
  CHECK(file.bytes() == static_cast<i64>(expected.size()));
}

TEST_CASE("a file that is not committed leaves the old one and nothing else") {
  ScratchFolder folder;
  const std::string path = folder.write("x", "old");
  {
    AtomicFile file(path);
    file.write("new");
  }
  CHECK(contents_of(path) == "old");
  CHECK(folder.entries() == 1);
  write_file(path, "new");
  CHECK(contents_of(path) == "new");
  CHECK(folder.entries() == 1);
}

TEST_CASE("two writers of one name do not touch each other's temporary file") {
  ScratchFolder folder;
  const std::string path = folder / "x";
  AtomicFile first(path), second(path);
  first.write("first");
  second.write("second");
  second.commit();
  CHECK(contents_of(path) == "second");
  first.commit();
  CHECK(contents_of(path) == "first");
}

TEST_CASE("a committed file has ordinary permissions") {
  ScratchFolder folder;
  const mode_t mask = ::umask(022);
  write_file(folder / "x", "");
  ::umask(mask);
  struct stat status {};
  REQUIRE(::stat((folder / "x").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
}

TEST_CASE("a full disk is reported with the path and the reason") {
  const int full = ::open("/dev/full", O_WRONLY);
  REQUIRE(full >= 0);
  CHECK(failure_of([&] { write_all(full, "abc", 3, "runs/x"); }) ==
        Failure{ExitCode::cannot_write, "cannot write runs/x: No space left on device"});
  CHECK(failure_of([&] { write_all(full, "", 0, "runs/x"); }) == Failure{});
  ::close(full);
}

TEST_CASE("a write that fails half way leaves the old file and no temporary one") {
  ScratchFolder folder;
  const std::string path = folder.write("x", "old");
  const std::string big(100'000, 'b');
  const Failure expected{
      ExitCode::cannot_write,
      "cannot write " + path + ": File too large (ulimit -f, or the file system, limits the size of files)"};
  Failure small, large;
  {
    const FileSizeLimit limit(4096);
    small = failure_of([&] { write_file(path, big); });  // fails in commit
    large = failure_of([&] {                             // fails in write
      AtomicFile file(path);
      for (int i = 0; i < 30; ++i) file.write(big);
      file.commit();
    });
  }
  CHECK(small == expected);
  CHECK(large == expected);
  CHECK(contents_of(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("where nothing may be written the reason is named") {
  ScratchFolder folder;
  const auto refused = [&](const std::string& path, const std::string& reason) {
    CAPTURE(path);
    CHECK(failure_of([&] { write_file(path, "x"); }) ==
          Failure{ExitCode::cannot_write, "cannot write " + path + ": " + reason});
  };
  refused(folder / "none/x", "No such file or directory");
  refused(folder.write("file", "") + "/x", "Not a directory");
  refused(folder / std::string(300, 'n'), "File name too long");
  CHECK(failure_of([&] { write_file("", "x"); }).code == ExitCode::cannot_write);
  CHECK(failure_of([&] { write_file(folder / std::string("a\0b", 3), "x"); }).code == ExitCode::cannot_write);
  std::filesystem::create_directory(folder / "taken");
  refused(folder / "taken", "Is a directory");
  CHECK(folder.entries() == 2);

  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  {
    const Unprivileged unprivileged;
    refused(folder / "x", "Permission denied");
    CHECK(failure_of([&] { ensure_folder(folder / "y"); }) ==
          Failure{ExitCode::cannot_write, "cannot write " + (folder / "y") + ": Permission denied"});
    CHECK(failure_of([&] { TemporaryFolder(folder / "z"); }) ==
          Failure{ExitCode::cannot_write, "cannot write " + (folder / "z") + ": Permission denied"});
  }
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
}

TEST_CASE("a file is written once") {
  ScratchFolder folder;
  AtomicFile file(folder / "x");
  file.commit();
  CHECK(failure_of([&] { file.commit(); }).code == ExitCode::internal);
  CHECK(failure_of([&] { file.write("x"); }).code == ExitCode::internal);
}

TEST_CASE("ensure_folder makes what is missing and is content with what is there") {
  ScratchFolder folder;
  ensure_folder(folder / "a/b/c");
  CHECK(std::filesystem::is_directory(folder / "a/b/c"));
  CHECK(failure_of([&] { ensure_folder(folder / "a/b"); }) == Failure{});
  CHECK(failure_of([&] { ensure_folder(folder / "a/b/"); }) == Failure{});
  const std::string file = folder.write("file", "");
  CHECK(failure_of([&] { ensure_folder(file); }) ==
        Failure{ExitCode::cannot_write, "cannot write " + file + ": Not a directory"});
  CHECK(failure_of([&] { ensure_folder(file + "/x"); }).code == ExitCode::cannot_write);
}

TEST_CASE("a folder appears whole at its commit") {
  ScratchFolder folder;
  {
    TemporaryFolder step(folder / "step-3/");  // the slash does not matter
    CHECK(step.path().starts_with(folder / "step-3.tmp-"));
    write_file(step.path() + "/a", "1");
    ensure_folder(step.path() + "/deep");
    write_file(step.path() + "/deep/b", "2");
    CHECK(!std::filesystem::exists(folder / "step-3"));
    step.commit();
  }
  CHECK(contents_of(folder / "step-3/a") == "1");
  CHECK(contents_of(folder / "step-3/deep/b") == "2");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a folder that is not committed is removed with all that is in it") {
  ScratchFolder folder;
  {
    TemporaryFolder step(folder / "step-3");
    ensure_folder(step.path() + "/deep");
    write_file(step.path() + "/deep/b", "2");
  }
  CHECK(folder.entries() == 0);
}

TEST_CASE("a folder replaces an existing one only if asked to, even an empty one") {
  ScratchFolder folder;
  const std::string path = folder / "step-3";
  ensure_folder(path);
  const auto commit = [&](const std::string& text, TemporaryFolder::Existing existing) {
    TemporaryFolder step(path);
    write_file(step.path() + "/" + text, text);
    step.commit(existing);
  };
  const Failure exists{ExitCode::cannot_write, "cannot write " + path + ": it exists already"};
  CHECK(failure_of([&] { commit("new", TemporaryFolder::Existing::refuse); }) == exists);
  CHECK(std::filesystem::is_empty(path));
  CHECK(folder.entries() == 1);
  commit("first", TemporaryFolder::Existing::replace);
  CHECK(contents_of(path + "/first") == "first");
  CHECK(failure_of([&] { commit("new", TemporaryFolder::Existing::refuse); }) == exists);
  CHECK(contents_of(path + "/first") == "first");
  commit("second", TemporaryFolder::Existing::replace);
  CHECK(contents_of(path + "/second") == "second");
  CHECK(!std::filesystem::exists(path + "/first"));
  CHECK(folder.entries() == 1);
}
