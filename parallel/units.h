// Figures of predictions as people read them.
#pragma once

#include <string>

#include "runtime/base/number.h"

namespace longsight::parallel {

std::string seconds_text(double seconds);  // "2.10 h", "1.25 s", "3.10 ms", "42.0 us"
std::string bytes_text(i64 bytes);         // "1.50 GiB", "640 KiB", "12 B"

}  // namespace longsight::parallel
