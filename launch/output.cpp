#include "launch/output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/base/error.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

// By making a file: permission bits say little about root, full disks and read-only file systems.
void try_folder(const fs::path& folder, const std::string& path) {
  std::string name = ((folder.empty() ? fs::path(".") : folder) / ".longsight-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  require(descriptor >= 0, ExitCode::cannot_write, "cannot write {}: {}", path, std::strerror(errno));
  ::close(descriptor);
  ::unlink(name.c_str());
}

}  // namespace

std::string existing_folder(const std::string& path) {
  fs::path folder = path;
  std::error_code ignored;
  while (!folder.empty() && !fs::exists(folder, ignored)) folder = folder.parent_path();
  return folder.empty() ? "." : folder.string();
}

void print_line(std::string_view line) {
  const bool written = std::fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
                       std::fputc('\n', stdout) != EOF && std::fflush(stdout) == 0;
  require(written, ExitCode::cannot_write, "cannot write to stdout: {}", std::strerror(errno));
}

void require_writable_file(const std::string& path) {
  require(!fs::is_directory(path), ExitCode::cannot_write, "cannot write {}: it is a folder", path);
  try_folder(fs::path(path).parent_path(), path);
}

void require_writable_folder(const std::string& path) {
  try_folder(existing_folder(path), path);
}

std::optional<i64> free_bytes(const std::string& path) {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0) return std::nullopt;
  // Some network file systems say that they have no end.
  const double left = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  return static_cast<i64>(std::min(left, 0x1p62));
}

void require_free_space(const std::string& path, i64 bytes, const std::string& what) {
  const std::optional<i64> left = free_bytes(existing_folder(path));
  if (!left) return;
  const auto size = [](i64 of) {
    const auto n = static_cast<double>(of);
    return n < 1048576 ? fmt::format("{:.0f} KiB", n / 1024) : fmt::format("{:.0f} MiB", n / 1048576);
  };
  require(*left >= bytes, ExitCode::cannot_write, "cannot write {}: {} are free, but {} are needed for {}",
          path, size(*left), size(bytes), what);
}

}  // namespace longsight::launch
