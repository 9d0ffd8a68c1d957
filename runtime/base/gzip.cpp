#include "runtime/base/gzip.h"

#include <cerrno>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/base/error.h"
#include "runtime/base/temporary_path.h"

namespace longsight {
namespace {

constexpr i64 kGzipChunk = i64{1} << 20;

[[noreturn]] void fail_to_unpack(const std::string& path, const std::string& folder, int error) {
  fail(ExitCode::cannot_write,
       "{}: cannot unpack it into {}: {}; make room there, or name another folder in TMPDIR", path, folder,
       std::generic_category().message(error));
}

// zlib's state, with the file's pieces as one stream.
class Inflater {
 public:
  explicit Inflater(const std::string& path) : path_(path) {
    constexpr int kGzipOnly = 16;
    check(::inflateInit2(&stream_, kGzipOnly + MAX_WBITS) == Z_OK, "zlib did not start");
  }
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // write(bytes, count) takes what comes out.
  template <class Write>
  void add(std::vector<unsigned char>& in, i64 count, i64 offset, Write&& write) {
    stream_.next_in = in.data();
    stream_.avail_in = static_cast<uInt>(count);
    for (;;) {
      while (between_ && stream_.avail_in > 0 && *stream_.next_in == 0) {  // tapes fill up with zeros
        ++stream_.next_in;
        --stream_.avail_in;
      }
      if (between_ && stream_.avail_in == 0) return;
      between_ = false;
      stream_.next_out = out_.data();
      stream_.avail_out = static_cast<uInt>(out_.size());
      const int status = ::inflate(&stream_, Z_NO_FLUSH);
      require(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, ExitCode::bad_data,
              "{}: damaged at byte {} of the packed file: {}; fetch or pack it again", path_,
              offset + count - static_cast<i64>(stream_.avail_in),
              stream_.msg ? stream_.msg : "no gzip data");
      write(out_.data(), static_cast<i64>(out_.size() - stream_.avail_out));
      if (status == Z_STREAM_END) {
        between_ = true;
        ::inflateReset(&stream_);
      } else if (stream_.avail_in == 0 && stream_.avail_out > 0) {
        return;
      }
    }
  }
  bool at_end() const { return between_; }  // nothing is begun that does not end

 private:
  const std::string& path_;
  z_stream stream_{};
  std::vector<unsigned char> out_ = std::vector<unsigned char>(static_cast<std::size_t>(kGzipChunk));
  bool between_ = false;
};

void unpack(const InputFile& packed, int into, const std::string& folder, const UnpackProgress& progress) {
  Inflater inflater(packed.path());
  std::vector<unsigned char> in(static_cast<std::size_t>(kGzipChunk));
  const i64 total = packed.size();
  i64 written = 0;
  const auto write = [&](const unsigned char* bytes, i64 count) {
    while (count > 0) {
      const ssize_t done = ::pwrite(into, bytes, static_cast<std::size_t>(count), written);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) fail_to_unpack(packed.path(), folder, done < 0 ? errno : ENOSPC);
      bytes += done;
      count -= done;
      written += done;
    }
  };
  for (i64 offset = 0;;) {
    const i64 got = packed.read_at(in.data(), kGzipChunk, offset);
    inflater.add(in, got, offset, write);
    offset += got;
    if (progress) progress(offset, total);
    if (got < kGzipChunk) break;
  }
  require(inflater.at_end(), ExitCode::bad_data,
          "{}: cut off: the packed file ends before its content does; fetch or pack it again", packed.path());
}

}  // namespace

bool is_gzip(const InputFile& file) {
  unsigned char start[3] = {};
  return file.read_at(start, 3, 0) == 3 && start[0] == 0x1F && start[1] == 0x8B && start[2] == 8;
}

InputFile open_unpacked(const std::string& path, const UnpackProgress& progress) {
  InputFile file(path);
  if (!is_gzip(file)) return file;
  const std::string folder = temporary_path();
  std::string name = folder + "/longsight-XXXXXX";
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) fail_to_unpack(path, folder, errno);
  ::unlink(name.c_str());  // it goes away when it is closed
  InputFile unpacked(path, descriptor);
  unpack(file, descriptor, folder, progress);
  return unpacked;
}

}  // namespace longsight
