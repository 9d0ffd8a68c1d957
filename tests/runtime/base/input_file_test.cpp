#include "runtime/base/input_file.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;

TEST_CASE("what is no file is refused at once, by its kind") {
  const ScratchFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  for (const auto& [path, says] : {std::pair(folder / "pipe", "it is a pipe, not a file"),
                                   {folder / "socket", "it is a socket, not a file"},
                                   {"/dev/zero", "it is a device, not a file"},
                                   {folder.path(), "it is a folder"},
                                   {folder / "nothing", "No such file or directory"}}) {
    CHECK(failure_of([&, p = path] { InputFile{p}; }) ==
          Failure{ExitCode::missing_input, fmt::format("cannot read {}: {}", path, says)});
  }
  ::close(socket);
  CHECK(kind_if_no_file(folder.write("file", "x")) == nullptr);
  CHECK(kind_if_no_file(folder / "nothing") == nullptr);
}

TEST_CASE("a file that a process has open is read under any name, also when it has no path any more") {
  const ScratchFolder folder;
  const InputFile file(folder.write("a", "content"));
  ::unlink((folder / "a").c_str());
  std::string why;
  const auto again = InputFile::of_process("b", ::getpid(), file.descriptor(), why);
  REQUIRE(again.has_value());
  CHECK(again->path() == "b");
  CHECK(again->identity() == file.identity());
  std::string content(7, ' ');
  again->read_exactly_at(content.data(), 7, 0);
  CHECK(content == "content");
  CHECK(!InputFile::of_process("b", ::getpid(), 1 << 20, why).has_value());
  CHECK(why == "No such file or directory");
}
