// Where a run computes, and what it says where a device has too little memory.
#include "launch/run_device.h"

#include <doctest/doctest.h>

#include "parallel/groups/self_group.h"
#include "runtime/device/cuda_device.h"
#include "runtime/device/simulated_device.h"
#include "tests/support/failure.h"

namespace longsight::launch {
namespace {

LoadedConfig config_with(const std::string& device) {
  LoadedConfig loaded{.document = YamlDocument::read_text("device: " + device, "c.yaml"), .config = {}};
  if (device != "auto") loaded.config.device = device;
  return loaded;
}

TEST_CASE("without a GPU a run computes on the host, unless it was told otherwise") {
  if (cuda_facts().devices > 0) return;
  parallel::SelfGroup world;
  Job job{.world = world, .stream = {}};
  for (const char* where : {"auto", "host"}) {
    const RunDevice run = choose_device(config_with(where), job);
    CHECK(run.device == nullptr);
    CHECK(&run.on(job).world == &world);
    CHECK(run.on(job).stream.device == nullptr);
  }
  const Failure failure = failure_of([&] { choose_device(config_with("cuda"), job); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(failure.message == "device: rank 0 cannot use a GPU: " + cuda_facts().missing +
                               "; device: auto trains on the host (c.yaml:1:9)");
}

TEST_CASE("a device that runs out of memory says what holds it, and the budget that fits") {
  SimulatedDevice device({.bytes = i64{64} << 20});
  void* const held = device.allocate(i64{48} << 20, "activations");
  try {
    device.allocate(i64{32} << 20, "logits");
    FAIL("there was memory");
  } catch (const OutOfDeviceMemory& error) {
    const Error told = with_budget_that_fits(error, i64{60} << 20);
    CHECK(told.code() == ExitCode::internal);
    // 48 of the 80 MiB that were needed: of the 60 predicted 36, less a twentieth.
    CHECK(std::string(told.what()) ==
          "out of memory on a simulated device: 32.0 MiB for logits; in use are\n"
          "        48.0 MiB  activations\n"
          "the plan predicted 60.0 MiB for this rank; with memory.budget=34MiB the next plan takes so much "
          "less "
          "that it fits, or says what would");
  }
  device.release(held, i64{48} << 20, "activations");
}

}  // namespace
}  // namespace longsight::launch
