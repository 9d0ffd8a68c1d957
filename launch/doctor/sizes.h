// Sizes that checks compare with.
#pragma once

#include "runtime/base/number.h"

namespace longsight::launch::doctor {

inline constexpr i64 kMiB = i64{1} << 20, kGiB = i64{1} << 30;

}  // namespace longsight::launch::doctor
