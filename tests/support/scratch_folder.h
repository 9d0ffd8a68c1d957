// An empty folder of a test's own, removed with all that is in it.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <stdlib.h>

#include "runtime/base/error.h"

namespace longsight {

class ScratchFolder {
 public:
  ScratchFolder() {
    // In memory where there is room: every committed file is synced, which a busy disk takes its time for.
    std::error_code error;
    const auto memory = std::filesystem::space("/dev/shm", error);
    const bool roomy = !error && memory.available >= (std::uintmax_t{1} << 30);
    const std::filesystem::path parent = roomy ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string name = (parent / "longsight-test-XXXXXX").string();
    check(::mkdtemp(name.data()) != nullptr, "no scratch folder {}", name);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, std::string_view contents) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << contents;
    return path_ + "/" + name;
  }
  std::ptrdiff_t entries() const {
    return std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator());
  }

 private:
  std::string path_;
};

inline std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace longsight
