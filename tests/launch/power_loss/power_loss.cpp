// The power fails at any moment of a run: what was said to be saved is there, and whole.
//   LONGSIGHT_POWER_CUTS=200: random losses at each moment (default 2)
#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "launch/training/resume.h"
#include "parallel/groups/self_group.h"
#include "runtime/base/stream_hash.h"
#include "tests/launch/power_loss/disk.h"
#include "tests/launch/run_verb.h"
#include "tests/support/scratch_folder.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;
using test::Disk;
using test::FileOperation;

constexpr const char* kRun = "runs/x";

std::vector<std::string> overrides(const std::string& disk) {
  return {"train.steps=5",
          "train.tokens_per_step=200",
          "data.eval=[]",
          "output.checkpoint_every=1",
          "output.keep=2",
          "train.watchdog.enabled=false",
          "output.dir=" + disk + "/" + kRun};
}

std::vector<FileOperation> operations_of_a_run(const std::string& disk) {
  std::vector<std::string> arguments{"train", "configs/tiny.yaml"};
  for (std::string& override : overrides(disk)) arguments.push_back(std::move(override));
  return test::file_operations(disk, [&] { CHECK(run_verb(add_train, arguments).code == ExitCode::done); });
}

// The step of .../checkpoints/step-N; 0: another path.
i64 step_of(const std::string& path) {
  const std::string before = std::string(kRun) + "/checkpoints/step-";
  return path.starts_with(before) && path.find('.') == std::string::npos
             ? std::stoll(path.substr(before.size()))
             : 0;
}

// What a run that goes on there begins with.
i64 step_found(const std::string& disk, i64& problems) {
  parallel::SelfGroup self;
  Job job{self, {}};
  const Beginning found = find_beginning(load_config("configs/tiny.yaml", overrides(disk)), job);
  if (found.checkpoint.empty()) return 0;
  problems += !found.refused.empty() + (found.folder != RunFolder::Begin::goes_on);
  for (const auto& [name, mark] : found.manifest.logs) {
    const std::string log = contents_of(disk + "/" + kRun + "/" + name);
    problems += wide_hash(log.substr(0, static_cast<std::size_t>(mark.bytes))) != mark.hash;
  }
  return found.manifest.step;
}

}  // namespace

TEST_CASE("when the power fails at any moment, a checkpoint that was written is there, and no half one") {
  const ScratchFolder scratch;
  const char* const asked = std::getenv("LONGSIGHT_POWER_CUTS");
  const i64 cuts = asked == nullptr ? 2 : std::atoll(asked);
  const std::string recorded = scratch / "disk";
  fs::create_directories(recorded);
  Disk disk;
  std::mt19937 random(1);
  i64 written = 0, named = 0, states = 0, problems = 0;
  for (const FileOperation& operation : operations_of_a_run(recorded)) {
    if (operation.data.find("\"finished\"") != std::string::npos) break;  // there is nothing to go on with
    disk.apply(operation);
    named = std::max(named, step_of(operation.to));
    // The pointer for people follows when a checkpoint is known to be there.
    if (operation.kind == FileOperation::Kind::make_file &&
        operation.path.find("/checkpoints/latest") != std::string::npos)
      written = named;
    for (i64 i = 0; i < cuts + 2; ++i) {
      const auto left = i == 0 ? Disk::Left::synced : i == 1 ? Disk::Left::all : Disk::Left::some;
      const std::string after = scratch / "after";
      disk.write_to(after, left, random);
      const i64 found = step_found(after, problems);
      problems += found < written || found > named;
      ++states;
      fs::remove_all(after);
    }
  }
  CHECK(problems == 0);
  CHECK(named == 4);
  CHECK(written == 4);
  MESSAGE(states << " states of the disk");
}

}  // namespace longsight::launch
