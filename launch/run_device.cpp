#include "launch/run_device.h"

#include <algorithm>
#include <set>

#include "launch/node_memory.h"
#include "launch/planning/units.h"
#include "parallel/groups/device_group.h"
#include "runtime/base/log.h"
#include "runtime/device/cuda_device.h"

namespace longsight::launch {
namespace {

constexpr const char* kDevices = "devices";

struct NoDevice {
  i64 rank = -1;
  std::string missing = {};
};

// The first rank without a GPU.
NoDevice rank_without(const CudaFacts& facts, Job& job) {
  const std::vector<std::string> all = job.world.all_gather(facts.missing, job.stream, kDevices);
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (!all[r].empty()) return {static_cast<i64>(r), all[r]};
  }
  return {};
}

}  // namespace

RunDevice choose_device(const LoadedConfig& loaded, Job& job) {
  const OrAuto<std::string>& asked = loaded.config.device;
  if (!asked.is_auto() && *asked.value == "host") return {};
  const CudaFacts facts = cuda_facts();
  const NoDevice none = rank_without(facts, job);
  if (none.rank >= 0) {
    loaded.document.require_at(asked.is_auto(), "device",
                               "rank {} cannot use a GPU: {}; device: auto trains on the host", none.rank,
                               none.missing);
    if (facts.built && job.leads()) log_info("computes on the host: {}", none.missing);
    return {};
  }
  const i64 rank = job.node == nullptr ? 0 : job.node->rank();
  RunDevice run{.device = make_cuda_device(narrow<int>(rank % facts.devices)), .world = {}, .buffers = {}};
  if (job.node != nullptr) {
    const std::vector<std::string> taken = job.node->all_gather(run.device->id(), job.stream, kDevices);
    run.sharing = std::count(taken.begin(), taken.end(), run.device->id());
  }
  run.world = parallel::make_device_group(job.world, *run.device, run.sharing > 1);
  run.buffers = std::make_unique<UploadBuffers>(*run.device);
  const i64 shared = job.world.all_reduce_max(run.sharing, job.stream, kDevices);
  if (job.leads())
    log_info("computes on {}{}", run.device->name(),
             shared > 1
                 ? fmt::format("; up to {} ranks share a GPU, and exchanges go through the host", shared)
                 : "");
  return run;
}

Job RunDevice::on(const Job& job) const {
  if (device == nullptr) return job;
  return {.world = *world,
          .stream = device->compute(),
          .node = job.node,
          .threads = job.threads,
          .open_data = job.open_data,
          .stop_requested = job.stop_requested,
          .nothing_to_save = job.nothing_to_save};
}

Error with_budget_that_fits(const OutOfDeviceMemory& error, i64 predicted) {
  // A twentieth less than in proportion: a pool has gaps.
  const double fits = static_cast<double>(error.held()) / static_cast<double>(error.held() + error.wanted());
  const auto mib = static_cast<i64>(0.95 * fits * static_cast<double>(predicted) / 1048576);
  return {
      error.code(),
      fmt::format("{}the plan predicted {} for this rank; with memory.budget={}MiB the next plan takes so "
                  "much less that it fits, or says what would",
                  error.what(), planning::bytes_text(predicted), mib)};
}

AutoBudget budget_of(const RunDevice& run, Job& job) {
  if (run.device == nullptr) return budget_of_nodes(job);
  const i64 own = share_of_memory(run.device->free_bytes(), run.sharing);
  const std::vector<i64> all = job.world.all_gather(own, job.stream, kDevices);
  return {.bytes = *std::min_element(all.begin(), all.end()),
          .source = run.sharing == 1
                        ? std::string("memory.budget auto: 90 % of what a GPU has left")
                        : fmt::format("memory.budget auto: {} ranks share what a GPU has left", run.sharing)};
}

}  // namespace longsight::launch
