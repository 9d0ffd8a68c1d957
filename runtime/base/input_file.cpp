#include "runtime/base/input_file.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace longsight {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

// Of what is no file; null for one.
const char* kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return nullptr;
    case S_IFDIR:
      return "it is a folder";
    case S_IFIFO:
      return "it is a pipe, not a file";
    case S_IFSOCK:
      return "it is a socket, not a file";
    default:
      return "it is a device, not a file";
  }
}

}  // namespace

const char* kind_if_no_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? kind_of(status.st_mode) : nullptr;
}

int open_plain_file(const std::string& path, std::string& why) {
  // Before it is opened, which a device may take for a command.
  const char* kind = kind_if_no_file(path);
  int descriptor = -1;
  if (kind == nullptr) {
    do descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (descriptor < 0 && errno == EINTR);
  }
  if (descriptor < 0) why = kind != nullptr ? kind : reason(errno);
  return descriptor;
}

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // A path with a NUL would be cut there by the system.
  require(path_.find('\0') == std::string::npos, ExitCode::missing_input, "a file name contains a NUL byte");
  std::string why;
  descriptor_ = open_plain_file(path_, why);
  require(descriptor_ >= 0, ExitCode::missing_input, "cannot read {}: {}", path_, why);
}

std::optional<InputFile> InputFile::of_process(std::string name, i64 process, int descriptor,
                                               std::string& why) {
  const int again = open_plain_file(fmt::format("/proc/{}/fd/{}", process, descriptor), why);
  if (again < 0) return std::nullopt;
  return InputFile(std::move(name), again);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

struct stat InputFile::status() const {
  struct stat status {};
  require(::fstat(descriptor_, &status) == 0, ExitCode::bad_data, "cannot read {}: {}", path_, reason(errno));
  return status;
}

i64 InputFile::size() const {
  return status().st_size;
}

FileIdentity InputFile::identity() const {
  const struct stat now = status();
  return {now.st_dev, now.st_ino};
}

i64 InputFile::read(void* into, i64 bytes) {
  i64 done = 0;
  while (done < bytes) {
    const ssize_t got =
        ::read(descriptor_, static_cast<std::byte*>(into) + done, static_cast<std::size_t>(bytes - done));
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ExitCode::bad_data, "cannot read {}: {}", path_, reason(errno));
    if (got == 0) break;
    done += got;
  }
  return done;
}

i64 InputFile::read_at(void* into, i64 bytes, i64 offset) const {
  i64 done = 0;
  while (done < bytes) {
    const ssize_t got = ::pread(descriptor_, static_cast<std::byte*>(into) + done,
                                static_cast<std::size_t>(bytes - done), offset + done);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ExitCode::bad_data, "cannot read {}: {}", path_, reason(errno));
    if (got == 0) break;
    done += got;
  }
  return done;
}

void InputFile::read_exactly_at(void* into, i64 bytes, i64 offset) const {
  const i64 got = read_at(into, bytes, offset);
  require(got == bytes, ExitCode::bad_data, "{} ends at byte {}, but {} bytes are wanted at {}", path_,
          offset + got, bytes, offset);
}

std::string read_whole_file(const std::string& path, i64 limit, ExitCode too_large) {
  InputFile file(path);
  std::string text;
  for (;;) {
    const i64 had = static_cast<i64>(text.size());
    const i64 step = std::min<i64>(std::max<i64>(had, i64{64} << 10), limit + 1 - had);
    text.resize(static_cast<std::size_t>(had + step));
    const i64 got = file.read(text.data() + had, step);
    text.resize(static_cast<std::size_t>(had + got));
    require(had + got <= limit, too_large, "{} is larger than {} bytes", path, limit);
    if (got < step) return text;
  }
}

}  // namespace longsight
