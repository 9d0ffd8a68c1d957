// What a call writes to stdout, through C streams or file descriptor 1.
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include <unistd.h>

#include "runtime/base/error.h"

namespace longsight {

template <class F>
std::string stdout_of(F&& call) {
  std::fflush(stdout);
  std::FILE* file = std::tmpfile();
  check(file != nullptr, "no temporary file");
  const int kept = ::dup(STDOUT_FILENO);
  ::dup2(::fileno(file), STDOUT_FILENO);
  const auto restore = [&] {
    std::fflush(stdout);
    ::dup2(kept, STDOUT_FILENO);
    ::close(kept);
  };
  try {
    std::forward<F>(call)();
  } catch (...) {
    restore();
    std::fclose(file);
    throw;
  }
  restore();
  std::string text;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text.push_back(static_cast<char>(c));
  std::fclose(file);
  return text;
}

}  // namespace longsight
