// Memory that this machine has left for the ranks on it.
#pragma once

#include <optional>
#include <string>

#include "parallel/groups/process_group.h"

namespace longsight::launch {

// A figure of /proc/meminfo ("MemAvailable"), in bytes; 0: it is not there. `root` stands before every path
// that is read, "" but in tests.
i64 meminfo(const std::string& key, const std::string& root = "");

// What may still be taken: MemAvailable, or less where a control group (a container, a batch job) that this
// process is in leaves less. What a group uses for the cache of files can be given back and counts as left.
// Nothing: not known.
std::optional<i64> memory_left(const std::string& root = "");

// `memory.budget: auto`: bytes for each rank of a node of so many; a tenth of what is left is kept for
// pictures that are decoded and for other programs.
i64 share_of_memory(i64 left, i64 ranks_of_node);

// Collective over `world`: the least share that any rank has, the same on all; 0: not known.
i64 memory_of_each_rank(parallel::ProcessGroup& world, i64 ranks_of_node, Stream);

}  // namespace longsight::launch
