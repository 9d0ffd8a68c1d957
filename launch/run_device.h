// Where a run computes (the key `device`): on the host, or every rank on a GPU of its node.
#pragma once

#include <memory>

#include "launch/config.h"
#include "launch/plan_run.h"
#include "launch/verb.h"
#include "runtime/tensor/upload.h"

namespace longsight::launch {

struct RunDevice {
  // Null where the host computes.
  std::unique_ptr<Device> device;
  std::unique_ptr<parallel::ProcessGroup> world;  // of the device's memory
  std::unique_ptr<UploadBuffers> buffers;
  i64 sharing = 1;  // ranks on the GPU

  // The job with the group and the stream of the device. Single values and texts go between the ranks as
  // before.
  Job on(const Job& job) const;
};

// Collective over the job. auto: GPUs where every rank has one, else the host, which the log says where the
// program was built for GPUs. cuda: usage where a rank has none, with the place of the key, the rank and what
// is missing. Ranks of a node take its GPUs in turn; where two have the same one, what ranks exchange goes
// through the host.
RunDevice choose_device(const LoadedConfig&, Job&);

// What memory.budget: auto stands for: a rank's share of what its GPU has left, or of its node's memory. The
// least that any rank has. Collective.
AutoBudget budget_of(const RunDevice&, Job&);

// What to say where a step needs more memory than its plan predicted: the table of what holds it, and the
// memory.budget with which a plan needs so much less. `predicted`: bytes of the rank by the plan.
Error with_budget_that_fits(const OutOfDeviceMemory&, i64 predicted);

}  // namespace longsight::launch
