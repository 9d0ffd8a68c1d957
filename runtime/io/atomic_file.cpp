#include "runtime/io/atomic_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace longsight::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

[[noreturn]] void fail_write(const std::string& path, int error) {
  fail(ExitCode::cannot_write, "cannot write {}: {}{}", path, std::generic_category().message(error),
       error == EFBIG ? " (ulimit -f, or the file system, limits the size of files)" : "");
}

std::string temporary_name(const std::string& path) {
  std::random_device device;
  return fmt::format("{}.tmp-{:08x}{:08x}", path, device(), device());
}

std::string folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// "runs/a/" names the same folder as "runs/a", but "runs/a/.tmp" would lie in it.
std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

void check_path(const std::string& path) {
  require(!path.empty() && path.find('\0') == std::string::npos, ExitCode::cannot_write,
          "cannot write \"{}\": not a file name", path.c_str());
}

void remove_tree(const std::string& path) noexcept {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

void sync_folders_below(const std::string& path) {
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_directory() && !entry.is_symlink()) sync_folder(entry.path().string());
  }
  sync_folder(path);
}

// File systems without the flags of renameat2 say so in one of these ways.
bool is_unsupported(int error) {
  return error == EINVAL || error == ENOSYS || error == ENOTSUP;
}

}  // namespace

void write_all(int descriptor, const void* data, i64 bytes, const std::string& path) {
  const auto* from = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(descriptor, from, static_cast<std::size_t>(bytes));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_write(path, errno);
    if (done == 0) fail_write(path, EIO);  // or the loop would never end
    from += done;
    bytes -= done;
  }
}

void sync_folder(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_write(path, errno);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0 && error != EINVAL)
    fail_write(path, error);  // EINVAL: a file system that has no fsync of folders
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  check_path(path_);
  do {
    temporary_ = temporary_name(path_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) fail_write(path_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, i64 bytes) {
  check(descriptor_ >= 0, "{} is written after its commit", path_);
  bytes_ += bytes;
  hash_.add({static_cast<const char*>(data), static_cast<std::size_t>(bytes)});
  if (buffer_.size() + static_cast<std::size_t>(bytes) <= kBufferBytes) {
    buffer_.append(static_cast<const char*>(data), static_cast<std::size_t>(bytes));
    return;
  }
  flush();
  write_all(descriptor_, data, bytes, path_);
}

void AtomicFile::flush() {
  write_all(descriptor_, buffer_.data(), static_cast<i64>(buffer_.size()), path_);
  buffer_.clear();
}

void AtomicFile::commit() {
  check(descriptor_ >= 0, "{} is committed twice", path_);
  flush();
  if (::fsync(descriptor_) != 0) fail_write(path_, errno);
  // Some file systems report a failed write only here. The descriptor is gone in any case.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) fail_write(path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_write(path_, errno);
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_file(const std::string& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

void ensure_folder(const std::string& path) {
  check_path(path);
  std::error_code error;
  std::vector<std::string> grown;  // folders that get a new one
  for (std::string at = without_trailing_slashes(path); !fs::exists(at, error) && at != ".";
       at = grown.back())
    grown.push_back(folder_of(at));
  fs::create_directories(path, error);
  if (error) fail_write(path, error.value());
  // create_directories is content with what is there, even if it is a file.
  if (!fs::is_directory(path, error)) fail_write(path, ENOTDIR);
  for (const std::string& folder : grown) sync_folder(folder);
}

TemporaryFolder::TemporaryFolder(std::string path) : path_(without_trailing_slashes(std::move(path))) {
  check_path(path_);
  int made = 0;
  do {
    temporary_ = temporary_name(path_);
    made = ::mkdir(temporary_.c_str(), 0777);
  } while (made != 0 && errno == EEXIST);
  if (made != 0) fail_write(path_, errno);
}

TemporaryFolder::~TemporaryFolder() {
  if (pending_) remove_tree(temporary_);
}

void TemporaryFolder::commit(Existing existing) {
  check(pending_, "{} is committed twice", path_);
  try {
    sync_folders_below(temporary_);
  } catch (const fs::filesystem_error& error) {
    fail_write(path_, error.code().value());
  }
  // rename() alone would replace an empty folder in silence.
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0) {
    std::error_code ignored;
    const bool occupied =
        errno == EEXIST || (is_unsupported(errno) && fs::exists(fs::symlink_status(path_, ignored)));
    if (!occupied && !is_unsupported(errno)) fail_write(path_, errno);
    if (!occupied) {
      if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_write(path_, errno);
    } else {
      require(existing == Existing::replace, ExitCode::cannot_write, "cannot write {}: it exists already",
              path_);
      if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
        remove_tree(temporary_);  // now the old one
      } else {
        if (!is_unsupported(errno)) fail_write(path_, errno);
        const std::string old = temporary_ + "-old";
        if (::rename(path_.c_str(), old.c_str()) != 0) fail_write(path_, errno);
        if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
          const int error = errno;
          // The old one gets its name back; if that fails too, it is still there under the other name.
          if (::rename(old.c_str(), path_.c_str()) != 0)
            fail(ExitCode::cannot_write, "cannot write {}: what was there is now {}", path_, old);
          fail_write(path_, error);
        }
        remove_tree(old);
      }
    }
  }
  pending_ = false;
  sync_folder(folder_of(path_));
}

}  // namespace longsight::io
