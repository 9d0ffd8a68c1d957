// A disk that fails, for tests: preloaded into the real binary, it lets one call under a folder fail.
//   LONGSIGHT_FAIL=OPERATION:K[+]:ERRNO  the K-th call (with +: and all later ones); OPERATION: open (for
//                                        writing), read (opened for it), write, fsync, rename, mkdir, unlink;
//                                        ERRNO: a number; short: half is written, and what follows fails with
//                                        ENOSPC; kill: the process ends there, as by a kill -9; or run: it
//                                        goes well, behind the shell command of
//   LONGSIGHT_FAIL_COMMAND=COMMAND
//   LONGSIGHT_FAIL_UNDER=PREFIX          of absolute paths
//   LONGSIGHT_FAIL_FREE=BYTES            are left on every disk
//   LONGSIGHT_FAIL_COUNTS=FILE           gets a line of the number of calls of each operation, at exit
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

enum Operation { kOpen, kRead, kWrite, kFsync, kRename, kMkdir, kUnlink, kOperations };
constexpr const char* kNames[kOperations] = {"open", "read", "write", "fsync", "rename", "mkdir", "unlink"};

struct Fault {
  std::string under, counts;
  int operation = -1;
  long nth = 0;
  bool later = false, half = false, run = false, kill = false;
  int error = EIO;
  std::atomic<long> calls[kOperations] = {};

  Fault() {
    if (const char* prefix = std::getenv("LONGSIGHT_FAIL_UNDER")) under = prefix;
    if (const char* file = std::getenv("LONGSIGHT_FAIL_COUNTS")) counts = file;
    const char* text = std::getenv("LONGSIGHT_FAIL");
    if (text == nullptr) return;
    const std::string fault = text;
    const std::size_t first = fault.find(':'), second = fault.find(':', first + 1);
    for (int i = 0; i < kOperations; ++i) {
      if (fault.substr(0, first) == kNames[i]) operation = i;
    }
    nth = std::strtol(fault.c_str() + first + 1, nullptr, 10);
    later = fault[second - 1] == '+';
    half = fault.substr(second + 1) == "short";
    run = fault.substr(second + 1) == "run";
    kill = fault.substr(second + 1) == "kill";
    error = half ? ENOSPC : std::atoi(fault.c_str() + second + 1);
  }
  ~Fault() {
    if (counts.empty()) return;
    if (std::FILE* file = std::fopen(counts.c_str(), "a")) {
      for (int i = 0; i < kOperations; ++i) std::fprintf(file, "%s %ld ", kNames[i], calls[i].load());
      std::fprintf(file, "\n");
      std::fclose(file);
    }
  }
};

Fault& fault() {
  static Fault one;
  return one;
}

std::string path_of(int descriptor) {
  char path[4096];
  const ssize_t bytes =
      readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path, sizeof(path) - 1);
  return bytes < 0 ? "" : std::string(path, static_cast<std::size_t>(bytes));
}

std::string absolute(int folder, const char* path) {
  if (path[0] == '/') return path;
  if (folder != AT_FDCWD) return path_of(folder) + "/" + path;
  char here[4096];
  return std::string(getcwd(here, sizeof(here)) != nullptr ? here : "") + "/" + path;
}

// 0: goes well; 1: fails; 2: is done by half.
int happens(Operation operation, const std::string& path) {
  Fault& f = fault();
  if (f.under.empty() || path.compare(0, f.under.size(), f.under) != 0) return 0;
  const long call = ++f.calls[operation];
  if (operation != f.operation) return 0;
  if (f.run) {
    const char* command = std::getenv("LONGSIGHT_FAIL_COMMAND");
    if (call != f.nth || command == nullptr) return 0;
    const int status = std::system((std::string("unset LD_PRELOAD; ") + command).c_str());
    // A launcher that ends the job may end the command first.
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) std::abort();
    return 0;
  }
  if (f.kill && call == f.nth) ::raise(SIGKILL);
  if (f.half) return call == f.nth ? 2 : call == f.nth + 1 ? 1 : 0;
  return call == f.nth || (f.later && call > f.nth) ? 1 : 0;
}

bool fails(Operation operation, const std::string& path) {
  if (happens(operation, path) != 1) return false;
  errno = fault().error;
  return true;
}

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

bool for_writing(int flags) {
  return (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0 && (flags & O_PATH) == 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if (fails(for_writing(flags) ? kOpen : kRead, absolute(AT_FDCWD, path))) return -1;
  return next<int (*)(const char*, int, ...)>("open")(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if (fails(for_writing(flags) ? kOpen : kRead, absolute(AT_FDCWD, path))) return -1;
  return next<int (*)(const char*, int, ...)>("open64")(path, flags, mode);
}

ssize_t write(int descriptor, const void* data, size_t bytes) {
  const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  const int what = fault().under.empty() ? 0 : happens(kWrite, path_of(descriptor));
  if (what == 1) {
    errno = fault().error;
    return -1;
  }
  return real(descriptor, data, what == 2 ? bytes / 2 : bytes);
}

int fsync(int descriptor) {
  if (fails(kFsync, path_of(descriptor))) return -1;
  return next<int (*)(int)>("fsync")(descriptor);
}

int fdatasync(int descriptor) {
  if (fails(kFsync, path_of(descriptor))) return -1;
  return next<int (*)(int)>("fdatasync")(descriptor);
}

int rename(const char* from, const char* to) {
  if (fails(kRename, absolute(AT_FDCWD, to))) return -1;
  return next<int (*)(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (fails(kRename, absolute(to_folder, to))) return -1;
  return next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2")(from_folder, from,
                                                                                  to_folder, to, flags);
}

int statvfs(const char* path, struct statvfs* disk) {
  const int result = next<int (*)(const char*, struct statvfs*)>("statvfs")(path, disk);
  if (const char* free = std::getenv("LONGSIGHT_FAIL_FREE"))
    disk->f_bavail = static_cast<fsblkcnt_t>(std::atoll(free)) / disk->f_frsize;
  return result;
}

int mkdir(const char* path, mode_t mode) {
  if (fails(kMkdir, absolute(AT_FDCWD, path))) return -1;
  return next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int unlink(const char* path) {
  if (fails(kUnlink, absolute(AT_FDCWD, path))) return -1;
  return next<int (*)(const char*)>("unlink")(path);
}

int unlinkat(int folder, const char* path, int flags) {
  if (fails(kUnlink, absolute(folder, path))) return -1;
  return next<int (*)(int, const char*, int)>("unlinkat")(folder, path, flags);
}

}  // extern "C"
