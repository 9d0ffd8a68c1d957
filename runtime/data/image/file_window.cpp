#include "runtime/data/image/file_window.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <sys/stat.h>
#include <unistd.h>

namespace longsight::data {
namespace {

struct Window {
  int descriptor = -1;
  i64 begin = 0, end = 0;  // in the file
  i64 at = 0;              // from begin

  ~Window() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

// The functions of a C library stream; they must not throw.

ssize_t read_window(void* cookie, char* to, std::size_t count) noexcept {
  Window& window = *static_cast<Window*>(cookie);
  const i64 left = std::max<i64>(window.end - window.begin - window.at, 0);
  const auto wanted = std::min<std::size_t>(count, static_cast<std::size_t>(left));
  ssize_t got = 0;
  do got = ::pread(window.descriptor, to, wanted, window.begin + window.at);
  while (got < 0 && errno == EINTR);
  if (got > 0) window.at += got;
  return got;
}

int seek_window(void* cookie, off64_t* offset, int whence) noexcept {
  Window& window = *static_cast<Window*>(cookie);
  const i64 from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? window.at : window.end - window.begin;
  i64 to = 0;
  if (__builtin_add_overflow(from, static_cast<i64>(*offset), &to) || to < 0) {
    errno = EINVAL;
    return -1;
  }
  *offset = window.at = to;
  return 0;
}

int close_window(void* cookie) noexcept {
  delete static_cast<Window*>(cookie);
  return 0;
}

}  // namespace

FileHandle open_window(const MediaFile& media, int descriptor) {
  auto window = std::make_unique<Window>();
  window->descriptor = descriptor;
  check(media.offset >= 0, "an image at byte {}", media.offset);
  struct stat status {};
  require(::fstat(descriptor, &status) == 0, ExitCode::missing_input, "{}: cannot open the image: {}",
          name_of(media), std::strerror(errno));
  const i64 size = status.st_size, rest = size - media.offset;
  require(rest >= 0 && media.bytes <= rest, ExitCode::bad_data,
          "{}: the file has {} bytes, too few for an image of {} bytes; it is cut off, or its index is of "
          "another "
          "file",
          name_of(media), size, media.bytes);
  window->begin = media.offset;
  window->end = media.bytes < 0 ? size : media.offset + media.bytes;
  FileHandle stream(
      ::fopencookie(window.get(), "rb",
                    {.read = read_window, .write = nullptr, .seek = seek_window, .close = close_window}));
  check(stream != nullptr, "{}: no stream of a file: {}", name_of(media), std::strerror(errno));
  window.release();  // the stream's now
  return stream;
}

}  // namespace longsight::data
