#include "launch/training/side_files.h"

#include <algorithm>
#include <filesystem>

#include "runtime/base/input_file.h"
#include "runtime/base/temporary_path.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

constexpr i64 kMostBytes = i64{1} << 30;  // of one file

}  // namespace

SideFiles::SideFiles(const std::function<void(const std::string&)>& make) {
  const io::TemporaryFolder folder(temporary_path() + "/longsight-model");
  make(folder.path());
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    if (!entry.is_regular_file()) continue;
    files_.emplace_back(entry.path().lexically_relative(folder.path()).string(),
                        read_whole_file(entry.path().string(), kMostBytes, ExitCode::bad_data));
  }
  std::sort(files_.begin(), files_.end());
}

void SideFiles::write(const std::string& folder) const {
  for (const auto& [name, content] : files_) {
    const fs::path path = fs::path(folder) / name;
    if (path.parent_path() != fs::path(folder)) io::ensure_folder(path.parent_path().string());
    io::write_file(path.string(), content);
  }
}

i64 SideFiles::bytes() const {
  i64 bytes = 0;
  for (const auto& [name, content] : files_) bytes += static_cast<i64>(content.size());
  return bytes;
}

}  // namespace longsight::launch
