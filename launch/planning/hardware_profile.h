// What one rank's device and its links can do, as the planner counts: rates of a rank, in units per second.
#pragma once

#include <string>

namespace longsight::planning {

struct HardwareProfile {
  std::string name = "one CPU core";
  std::string source = "assumed, not measured";  // how the figures came about; printed with every prediction
  double gemm_flops = 60e9;                      // f32 matrix products of a layer's size
  double attention_flops = 30e9;                 // tiles with online softmax
  double memory_bandwidth = 8e9;                 // bytes per second of element-wise passes
  double link_bandwidth = 4e9;  // bytes per second that a rank sends while it receives as many
  double latency = 5e-6;        // seconds per message
};

}  // namespace longsight::planning
