#include "launch/calibration/calibrate.h"

#include <algorithm>

#include <omp.h>

#include "launch/calibration/link_rates.h"
#include "launch/calibration/op_rates.h"
#include "launch/measure.h"
#include "launch/node_memory.h"

namespace longsight::launch {
namespace {

using planning::Rate;

// The slowest rank counts: the others wait for it.
std::vector<Rate> slowest(std::vector<Rate> rates, parallel::ProcessGroup& world, Stream stream) {
  for (Rate& r : rates) {
    const std::vector<double> all = world.all_gather(r.rate, stream, "calibration");
    r.rate = *std::min_element(all.begin(), all.end());
  }
  return rates;
}

// Ranks of a node are neighbours, and as many on each.
void require_even_nodes(Job& job, i64 node) {
  const i64 first = job.world.rank() / node * node;
  const std::vector<std::string> hosts = job.world.all_gather(host_name(), job.stream, "calibration");
  const auto here = hosts.begin() + first;
  const bool even = job.world.size() % node == 0 &&
                    std::all_of(here, here + node, [&](const std::string& h) { return h == *here; });
  require(job.world.all_reduce_max(i64{!even}, job.stream, "calibration") == 0, ExitCode::usage,
          "bench --calibrate: start as many ranks on each node, those of a node behind each other "
          "(mpirun --map-by node would deal them out)");
}

}  // namespace

planning::HardwareProfile calibrate(Job& job) {
  constexpr double kSecondsEach = 0.2;  // of twenty-five sizes
  const i64 ranks = job.world.size(), node = job.node == nullptr ? 1 : job.node->size();
  require_even_nodes(job, node);
  job.world.barrier(job.stream, "calibration");
  planning::HardwareProfile profile{
      .name = host_name(),
      .origin = "measured",
      .source =
          fmt::format("longsight bench --calibrate, {}, {} rank{} of {} thread{}", utc_now(), ranks,
                      ranks == 1 ? "" : "s", omp_get_max_threads(), omp_get_max_threads() == 1 ? "" : "s"),
      .ranks_per_node = ranks > node ? node : 0,
      .memory = memory_left().value_or(0) / node,
      .gemm = slowest(gemm_rates(DType::F32, kSecondsEach), job.world, job.stream),
      .attention = slowest(attention_rates(DType::F32, kSecondsEach), job.world, job.stream),
      .gemm_bf16 = slowest(gemm_rates(DType::BF16, kSecondsEach), job.world, job.stream),
      .attention_bf16 = slowest(attention_rates(DType::BF16, kSecondsEach), job.world, job.stream),
      .copy = slowest(copy_rates(kSecondsEach), job.world, job.stream),
      .link = {},
      .network = {}};
  if (node > 1) profile.link = all_to_all_link(*job.node, job.stream);
  if (ranks > node) profile.network = shift_link(job.world, narrow<int>(node), job.stream);
  return profile;
}

}  // namespace longsight::launch
