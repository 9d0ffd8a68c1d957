// What a program does to the files below a folder, in order. The calls of the C library are replaced in the
// whole test program (recorder.cpp): nothing else is linked with it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::test {

struct FileOperation {
  enum class Kind { make_file, make_folder, write, truncate, sync, rename, exchange, remove };
  Kind kind;
  std::string path;       // below the folder
  std::string to = {};    // rename, exchange
  i64 at = 0;             // write: the first byte; truncate: what is left
  std::string data = {};  // write
};

// Those that went well while `run` did. Any thread.
std::vector<FileOperation> file_operations(const std::string& folder, const std::function<void()>& run);

}  // namespace longsight::test
