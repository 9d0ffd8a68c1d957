// Results of a command, on stdout.
#pragma once

#include <string_view>

namespace longsight::launch {

// A line, out of the process when it returns. cannot_write: a full disk, a closed pipe.
void print_line(std::string_view line);

}  // namespace longsight::launch
