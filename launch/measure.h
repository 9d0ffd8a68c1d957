// What runs and benchmarks measure of themselves.
#pragma once

#include <string>

namespace longsight::launch {

double now();              // seconds, monotonic, from an arbitrary start
double peak_memory_mib();  // most resident memory of the process so far

std::string host_name();
std::string utc_now();  // "2026-11-28T22:09:00.125Z"

}  // namespace longsight::launch
