#include "tests/launch/power_loss/recorder.h"

#include <cstdarg>
#include <cstdio>
#include <mutex>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace longsight::test {
namespace {

using Kind = FileOperation::Kind;

struct Recorder {
  std::string folder;
  std::vector<FileOperation> operations;
};

// Held from a call to its record: the order is that of the calls.
std::recursive_mutex mutex;
Recorder* recorder = nullptr;

std::string path_of(int descriptor) {
  char path[4096];
  const ssize_t bytes =
      ::readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path, sizeof(path));
  return bytes < 0 ? "" : std::string(path, static_cast<std::size_t>(bytes));
}

std::string absolute(int folder, const char* path) {
  if (path[0] == '/') return path;
  if (folder != AT_FDCWD) return path_of(folder) + "/" + path;
  char here[4096];
  return std::string(::getcwd(here, sizeof(here)) != nullptr ? here : "") + "/" + path;
}

void record(FileOperation operation) {
  if (recorder == nullptr) return;
  const std::string below = recorder->folder + "/";
  for (std::string* path : {&operation.path, &operation.to}) {
    if (path == &operation.to && path->empty()) continue;
    if (*path + "/" == below) {
      path->clear();  // the folder itself
    } else if (path->starts_with(below)) {
      path->erase(0, below.size());
    } else {
      return;
    }
  }
  recorder->operations.push_back(std::move(operation));
}

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

int recorded_open(const char* name, const char* path, int flags, mode_t mode) {
  const std::lock_guard lock(mutex);
  struct stat before {};
  const bool there = ::stat(path, &before) == 0;
  const int descriptor = next<int (*)(const char*, int, ...)>(name)(path, flags, mode);
  if (descriptor >= 0 && (flags & O_CREAT) != 0 && !there)
    record({.kind = Kind::make_file, .path = absolute(AT_FDCWD, path)});
  return descriptor;
}

int recorded_sync(const char* name, int descriptor) {
  const std::lock_guard lock(mutex);
  const int result = next<int (*)(int)>(name)(descriptor);
  if (result == 0) record({.kind = Kind::sync, .path = path_of(descriptor)});
  return result;
}

int recorded_removal(int result, const std::string& path) {
  if (result == 0) record({.kind = Kind::remove, .path = path});
  return result;
}

}  // namespace

std::vector<FileOperation> file_operations(const std::string& folder, const std::function<void()>& run) {
  Recorder mine{.folder = folder, .operations = {}};
  {
    const std::lock_guard lock(mutex);
    recorder = &mine;
  }
  run();
  const std::lock_guard lock(mutex);
  recorder = nullptr;
  return std::move(mine.operations);
}

}  // namespace longsight::test

using namespace longsight;
using namespace longsight::test;

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return recorded_open("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return recorded_open("open64", path, flags, mode);
}

ssize_t write(int descriptor, const void* data, size_t bytes) {
  const std::lock_guard lock(mutex);
  const ssize_t done = next<ssize_t (*)(int, const void*, size_t)>("write")(descriptor, data, bytes);
  const off_t end = done > 0 ? ::lseek(descriptor, 0, SEEK_CUR) : -1;  // a pipe has none
  if (end >= done && done > 0)
    record({.kind = Kind::write,
            .path = path_of(descriptor),
            .at = end - done,
            .data = std::string(static_cast<const char*>(data), static_cast<std::size_t>(done))});
  return done;
}

int ftruncate(int descriptor, off_t bytes) {
  const std::lock_guard lock(mutex);
  const int result = next<int (*)(int, off_t)>("ftruncate")(descriptor, bytes);
  if (result == 0) record({.kind = Kind::truncate, .path = path_of(descriptor), .at = bytes});
  return result;
}

int fsync(int descriptor) {
  return recorded_sync("fsync", descriptor);
}

int fdatasync(int descriptor) {
  return recorded_sync("fdatasync", descriptor);
}

int rename(const char* from, const char* to) {
  const std::lock_guard lock(mutex);
  const int result = next<int (*)(const char*, const char*)>("rename")(from, to);
  if (result == 0)
    record({.kind = Kind::rename, .path = absolute(AT_FDCWD, from), .to = absolute(AT_FDCWD, to)});
  return result;
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  const std::lock_guard lock(mutex);
  const int result = next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2")(
      from_folder, from, to_folder, to, flags);
  if (result == 0)
    record({.kind = (flags & RENAME_EXCHANGE) != 0 ? Kind::exchange : Kind::rename,
            .path = absolute(from_folder, from),
            .to = absolute(to_folder, to)});
  return result;
}

int mkdir(const char* path, mode_t mode) {
  const std::lock_guard lock(mutex);
  const int result = next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
  if (result == 0) record({.kind = Kind::make_folder, .path = absolute(AT_FDCWD, path)});
  return result;
}

int unlink(const char* path) {
  const std::lock_guard lock(mutex);
  return recorded_removal(next<int (*)(const char*)>("unlink")(path), absolute(AT_FDCWD, path));
}

int unlinkat(int folder, const char* path, int flags) {
  const std::lock_guard lock(mutex);
  const std::string whole = absolute(folder, path);  // before it is gone
  return recorded_removal(next<int (*)(int, const char*, int)>("unlinkat")(folder, path, flags), whole);
}

int remove(const char* path) {
  const std::lock_guard lock(mutex);
  return recorded_removal(next<int (*)(const char*)>("remove")(path), absolute(AT_FDCWD, path));
}

}  // extern "C"
