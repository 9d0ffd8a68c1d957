#include "runtime/base/temporary_path.h"

#include <cstdlib>
#include <filesystem>

#include "runtime/base/error.h"

namespace longsight {

std::string temporary_path() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::temp_directory_path(error);
  const char* given = std::getenv("TMPDIR");
  require(!error, ExitCode::cannot_write,
          "\"{}\" is no folder for temporary files: set the environment variable TMPDIR to one",
          given != nullptr ? given : "/tmp");
  return path.string();
}

}  // namespace longsight
