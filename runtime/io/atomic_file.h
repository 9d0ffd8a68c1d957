// Files and folders that appear whole or not at all. Every write, fsync, close and rename is looked at; what
// goes wrong throws cannot_write with the path and the reason, and leaves what was there before as it was.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/stream_hash.h"

namespace longsight::io {

// A file that is written beside its name (PATH.tmp-<nonce>), and takes the name in commit().
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();  // removes what was not committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, i64 bytes);  // appends; small pieces are gathered
  void write(std::string_view text) { write(text.data(), static_cast<i64>(text.size())); }
  i64 bytes() const { return bytes_; }               // written so far
  std::string hash() const { return hash_.text(); }  // XXH3-128 of these
  // fsync, rename over whatever has the name, fsync of the folder: after it the file is there, also after a
  // power cut.
  void commit();

 private:
  void flush();

  std::string path_, temporary_;
  std::string buffer_;
  int descriptor_ = -1;
  i64 bytes_ = 0;
  WideHash hash_;
};

// The whole file at once.
void write_file(const std::string& path, std::string_view contents);

// Makes the folder and those above it that are missing, which are there also after a power cut.
void ensure_folder(const std::string& path);

// A folder that is filled beside its name (PATH.tmp-<nonce>), and takes the name in commit().
class TemporaryFolder {
 public:
  explicit TemporaryFolder(std::string path);
  ~TemporaryFolder();  // removes what was not committed, with all that is in it
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return temporary_; }  // to write into

  enum class Existing { refuse, replace };
  // The files in the folder must have been synced (AtomicFile does). A folder that has the name already is an
  // error, or is replaced: where the file system can exchange two names, at every moment one of the two has
  // it.
  void commit(Existing existing = Existing::refuse);

 private:
  std::string path_, temporary_;
  bool pending_ = true;
};

// For writers of other shapes; `path` is for the error message.
void write_all(int descriptor, const void* data, i64 bytes, const std::string& path);
void sync_folder(const std::string& path);

}  // namespace longsight::io
