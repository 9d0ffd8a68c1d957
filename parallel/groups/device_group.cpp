#include "parallel/groups/device_group.h"

#include "parallel/groups/staged_group.h"

namespace longsight::parallel {

std::unique_ptr<ProcessGroup> make_device_group(ProcessGroup& control, Device& device, bool shared) {
  const bool staged = device.backend() != Backend::cuda || control.size() == 1 || shared;
  if (control.all_reduce_max(i64{staged ? 1 : 0}, {}, "devices are shared") > 0)
    return std::make_unique<StagedGroup>(control, device);
  return make_nccl_group(control, device);
}

}  // namespace longsight::parallel
