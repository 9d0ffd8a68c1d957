// What the benchmarks have in common.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "launch/verb.h"

namespace longsight::launch {

std::vector<float> random_values(i64 count, std::string_view name, double deviation = 1);

// Names and figures: a line each, or one line of JSON.
void print_figures(const nlohmann::ordered_json& figures, bool json);

// Best rate of plain dnnl_sgemm over layer-like and square shapes, in GFLOP/s: the peak that shares are given
// of.
double gemm_peak(double seconds_each = 0.25);

// Options of each of them.
struct BenchOptions {
  i64 threads = 0;
  bool json = false;
  void add(Command verb);
  void apply() const;
};

}  // namespace longsight::launch
