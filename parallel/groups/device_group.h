// The group of a device's memory over the ranks of a group of the host.
#pragma once

#include <memory>

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

// NCCL's where every rank has a GPU to itself, `shared` being false on every rank; otherwise one that stages
// through the host (parallel/groups/staged_group.h). Collective over `control`, which is borrowed, as the
// device is.
std::unique_ptr<ProcessGroup> make_device_group(ProcessGroup& control, Device& device, bool shared);

// Of NCCL: GPUs alone, each of one rank. Throws usage where the program was built without CUDA, and
// missing_input where the library is not there.
std::unique_ptr<ProcessGroup> make_nccl_group(ProcessGroup& control, Device& device);

}  // namespace longsight::parallel
