// What runs and benchmarks measure of themselves.
#pragma once

namespace longsight::launch {

double now();              // seconds, monotonic, from an arbitrary start
double peak_memory_mib();  // most resident memory of the process so far

}  // namespace longsight::launch
