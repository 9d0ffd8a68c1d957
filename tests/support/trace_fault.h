// Where a program that is only traced touches memory on the host all the same.
#pragma once

#include <functional>
#include <string>

#include "runtime/device/trace.h"

namespace longsight::test {

// Runs a program whose memory is that of a trace, addresses of pages that nobody may touch. "" where it
// touches none; else where it was: behind which op, in which part. What it owned is then lost.
std::string fault_of(const Trace& trace, const std::function<void()>& program);

}  // namespace longsight::test
