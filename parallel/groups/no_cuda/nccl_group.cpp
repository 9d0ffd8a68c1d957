#include "parallel/groups/device_group.h"
#include "runtime/device/cuda_device.h"

namespace longsight::parallel {

std::unique_ptr<ProcessGroup> make_nccl_group(ProcessGroup&, Device&) {
  fail(ExitCode::usage, "there are no groups of GPUs: {}", cuda_facts().missing);
}

}  // namespace longsight::parallel
