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

}  // namespace

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // A path with a NUL would be cut there by the system.
  require(path_.find('\0') == std::string::npos, ExitCode::missing_input, "a file name contains a NUL byte");
  do descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  while (descriptor_ < 0 && errno == EINTR);
  require(descriptor_ >= 0, ExitCode::missing_input, "cannot read {}: {}", path_, reason(errno));
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && !S_ISDIR(status.st_mode)) return;
  ::close(descriptor_);
  fail(ExitCode::missing_input, "cannot read {}: {}", path_, known ? "it is a folder" : reason(errno));
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

i64 InputFile::size() const {
  struct stat status {};
  require(::fstat(descriptor_, &status) == 0, ExitCode::bad_data, "cannot read {}: {}", path_, reason(errno));
  return status.st_size;
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
