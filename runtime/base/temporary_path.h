// Where files go that a process needs only for itself.
#pragma once

#include <string>

namespace longsight {

// TMPDIR, or /tmp. cannot_write, naming the variable, where that is no folder.
std::string temporary_path();

}  // namespace longsight
