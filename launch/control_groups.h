// The Linux control groups (of a container, a batch job) that this process is in, version 1 or 2.
#pragma once

#include <string>
#include <vector>

namespace longsight::launch {

struct ControlGroup {
  std::string folder;    // with its limits
  bool unified = false;  // version 2, whose files have other names
};

// Those that can limit what `controller` ("cpu", "memory") counts: of each hierarchy the group itself and
// those above it, as each limits what is in it. `root` stands before every path that is read, "" but in
// tests.
std::vector<ControlGroup> control_groups(const std::string& controller, const std::string& root = "");

}  // namespace longsight::launch
