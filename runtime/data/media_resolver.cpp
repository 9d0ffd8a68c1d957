#include "runtime/data/media_resolver.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include <sys/stat.h>

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

// Absolute, without links; empty if it is not there.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : std::string();
}

// A device or a pipe would be waited for when it is opened.
bool is_regular(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

MediaFolder::MediaFolder(const std::string& data_file, const std::string& folder) : folder_(folder) {
  if (folder_.empty()) folder_ = fs::path(data_file).parent_path().string();
  if (folder_.empty()) folder_ = ".";
  root_ = resolved(folder_);
  require(!root_.empty(), ExitCode::missing_input, "{}: its image folder {} is not there", data_file,
          folder_);
  if (!root_.ends_with('/')) root_ += '/';
}

MediaFile MediaFolder::resolve(const std::string& name, const std::string& where) const {
  require(name.find("://") == std::string::npos, ExitCode::bad_data,
          "{}: the URL {} is not supported: put the image into a file and give its path", where, name);
  require(name.find('\0') == std::string::npos, ExitCode::bad_data, "{}: an image path with a NUL character",
          where);
  const std::string full = (fs::path(folder_) / name).string();
  const std::string real = resolved(full);
  require(!real.empty(), ExitCode::missing_input, "{}: cannot open the image {}: {}", where, full,
          std::generic_category().message(errno));
  require(real.starts_with(root_), ExitCode::bad_data, "{}: the image {} lies outside of {}", where, full,
          folder_);
  require(is_regular(real), ExitCode::bad_data, "{}: the image {} is not a file", where, full);
  return {.path = full};
}

MediaFile NoMedia::resolve(const std::string& name, const std::string& where) const {
  fail(ExitCode::bad_data, "{}: the image {} in data of kind text; use messages, llava or sharegpt for it",
       where, name);
}

}  // namespace longsight::data
