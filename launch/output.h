// Results of a command: on stdout, and places for files that are tried before the work begins.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/number.h"

namespace longsight::launch {

// A line, out of the process when it returns. cannot_write: a full disk, a closed pipe.
void print_line(std::string_view line);

// cannot_write if no file can be made at `path` (its folder must be there), or nothing below the folder
// `path` (made with the folders above it that are missing). Leaves nothing behind.
void require_writable_file(const std::string& path);
void require_writable_folder(const std::string& path);

// The folder itself, or the nearest above it that is there.
std::string existing_folder(const std::string& path);
// Bytes left on the file system of `path`, which is there; nothing where it does not say.
std::optional<i64> free_bytes(const std::string& path);
// cannot_write if the file system of the folder `path` (which need not be there yet) has fewer bytes left;
// `what` they are for.
void require_free_space(const std::string& path, i64 bytes, const std::string& what);

}  // namespace longsight::launch
