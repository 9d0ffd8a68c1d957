// What runs and benchmarks measure of themselves.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace longsight::launch {

double median(std::vector<double> values);  // of at least one
double peak_memory_mib();                   // most resident memory of the process so far
double resident_memory_mib();               // of the process now; 0: not known

std::string host_name();
std::string utc_text(std::chrono::system_clock::time_point);  // "2026-11-28T22:09:00.125Z"
std::string utc_now();

}  // namespace longsight::launch
