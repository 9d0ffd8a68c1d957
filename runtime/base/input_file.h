// A file opened for reading. Never mapped: a file that is cut while it is open is an error here, not a
// SIGBUS.
#pragma once

#include <optional>
#include <string>

#include <sys/stat.h>

#include "runtime/base/number.h"

namespace longsight {

// "it is a folder", "it is a pipe, not a file", ..: what is there cannot be read like a file. Null for a
// file, and where nothing is there.
const char* kind_if_no_file(const std::string& path);

// Opens a file for reading; -1, and why in `reason`: it is not there, may not be read, or is a folder, a
// named pipe, a device or a socket. These are told at once, where a pipe would be waited for.
int open_plain_file(const std::string& path, std::string& reason);

// Equal for the same file, on this node.
struct FileIdentity {
  u64 device = 0, inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

class InputFile {
 public:
  // Throws missing_input as above.
  explicit InputFile(std::string path);
  // A file that is open already and is known in messages by `name`; the descriptor is closed with this.
  InputFile(std::string name, int descriptor) : path_(std::move(name)), descriptor_(descriptor) {}
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  InputFile& operator=(InputFile&&) = delete;

  // The file that a process of this node has open, known as `name`: it may have no path any more. Nothing,
  // and why, where the system does not allow it.
  static std::optional<InputFile> of_process(std::string name, i64 process, int descriptor, std::string& why);

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  i64 size() const;  // bytes, now
  FileIdentity identity() const;

  // Bytes read, less than `bytes` only at the end of the file. bad_data on an input error.
  i64 read(void* into, i64 bytes);                       // from the current position
  i64 read_at(void* into, i64 bytes, i64 offset) const;  // from `offset`; any thread, the position stays
  void read_exactly_at(void* into, i64 bytes, i64 offset) const;  // bad_data if the file is too short

 private:
  struct stat status() const;

  std::string path_;
  int descriptor_ = -1;
};

// The whole file; more than `limit` bytes throw `too_large`.
std::string read_whole_file(const std::string& path, i64 limit, ExitCode too_large);

}  // namespace longsight
