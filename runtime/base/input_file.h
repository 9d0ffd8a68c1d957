// A file opened for reading. Never mapped: a file that is cut while it is open is an error here, not a
// SIGBUS.
#pragma once

#include <string>

#include "runtime/base/number.h"

namespace longsight {

class InputFile {
 public:
  // Throws missing_input if it is not there, is a folder or may not be read.
  explicit InputFile(std::string path);
  // A file that is open already and is known in messages by `name`; the descriptor is closed with this.
  InputFile(std::string name, int descriptor) : path_(std::move(name)), descriptor_(descriptor) {}
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  InputFile& operator=(InputFile&&) = delete;

  const std::string& path() const { return path_; }
  i64 size() const;  // bytes, now

  // Bytes read, less than `bytes` only at the end of the file. bad_data on an input error.
  i64 read(void* into, i64 bytes);                       // from the current position
  i64 read_at(void* into, i64 bytes, i64 offset) const;  // from `offset`; any thread, the position stays
  void read_exactly_at(void* into, i64 bytes, i64 offset) const;  // bad_data if the file is too short

 private:
  std::string path_;
  int descriptor_ = -1;
};

// The whole file; more than `limit` bytes throw `too_large`. Pipes can be read too.
std::string read_whole_file(const std::string& path, i64 limit, ExitCode too_large);

}  // namespace longsight
