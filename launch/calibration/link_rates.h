// What lies between ranks, as the planner counts it: bytes, and messages.
#pragma once

#include <optional>

#include "launch/planning/hardware_profile.h"
#include "parallel/groups/process_group.h"

namespace longsight::launch {

// All ranks of the group send to all. Collective over it; on one rank nothing.
std::optional<planning::Link> all_to_all_link(parallel::ProcessGroup&, Stream);
// Each rank sends to the one `offset` further on. Collective.
planning::Link shift_link(parallel::ProcessGroup&, int offset, Stream);

}  // namespace longsight::launch
