// Figures of predictions as people read them.
#pragma once

#include <string>

#include "runtime/base/number.h"

namespace longsight::planning {

std::string seconds_text(double seconds);  // "2.10 h", "1.25 s", "3.10 ms", "42.0 us"
std::string bytes_text(i64 bytes);         // "1.50 GiB", "640 KiB", "12 B"

// "5GB", "500MB", "1GiB", "100000". usage, beginning with `where`, for what is no such size.
i64 bytes_from_text(const std::string& text, const std::string& where);

}  // namespace longsight::planning
