#include "runtime/base/error.h"

#include <string_view>

namespace longsight {

std::string place_of(const std::source_location& where) {
  std::string_view file = where.file_name();
  // __FILE__ is absolute in an out-of-tree build: keep what follows the last top-level folder of the project.
  for (std::string_view top : {"/runtime/", "/parallel/", "/model/", "/launch/", "/tests/"}) {
    if (auto at = file.rfind(top); at != std::string_view::npos) {
      file.remove_prefix(at + 1);
      break;
    }
  }
  return fmt::format("{}:{}", file, where.line());
}

}  // namespace longsight
