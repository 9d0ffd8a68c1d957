#include "runtime/base/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/support/scratch_folder.h"

using namespace longsight;

namespace {

// What `call` writes to file descriptor 2.
template <class F>
std::string stderr_of(F&& call) {
  ScratchFolder folder;
  const std::string path = folder / "stderr";
  std::fflush(stderr);
  const int before = ::dup(2);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(file, 2);
  ::close(file);
  call();
  std::fflush(stderr);
  ::dup2(before, 2);
  ::close(before);
  return contents_of(path);
}

void say_all() {
  log_info("{} ranks", 4);
  log_warn("slow {}", "disk");
  log_error("lost");
}

}  // namespace

TEST_CASE("a single rank logs without a prefix") {
  CHECK(stderr_of([] {
          init_log(0, 1);
          say_all();
        }) == "4 ranks\nwarning: slow disk\nerror: lost\n");
}

TEST_CASE("with several ranks every line names its rank, and information comes from rank 0 only") {
  CHECK(stderr_of([] {
          init_log(0, 4);
          say_all();
        }) == "[rank 0] 4 ranks\n[rank 0] warning: slow disk\n[rank 0] error: lost\n");
  CHECK(stderr_of([] {
          init_log(3, 4);
          say_all();
        }) == "[rank 3] warning: slow disk\n[rank 3] error: lost\n");
}

TEST_CASE("verbosity decides who informs, never who warns") {
  CHECK(stderr_of([] {
          init_log(3, 4, Verbosity::verbose);
          say_all();
        }) == "[rank 3] 4 ranks\n[rank 3] warning: slow disk\n[rank 3] error: lost\n");
  CHECK(stderr_of([] {
          init_log(0, 4, Verbosity::quiet);
          say_all();
        }) == "[rank 0] warning: slow disk\n[rank 0] error: lost\n");
  init_log(0, 1);
}

TEST_CASE("braces in a message are not read as a format") {
  CHECK(stderr_of([] {
          init_log(0, 1);
          log_info("{}", "{0} {unclosed");
        }) == "{0} {unclosed\n");
}
