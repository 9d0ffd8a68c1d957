#include "launch/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/base/error.h"

namespace longsight::launch {

void print_line(std::string_view line) {
  const bool written = std::fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
                       std::fputc('\n', stdout) != EOF && std::fflush(stdout) == 0;
  require(written, ExitCode::cannot_write, "cannot write to stdout: {}", std::strerror(errno));
}

}  // namespace longsight::launch
