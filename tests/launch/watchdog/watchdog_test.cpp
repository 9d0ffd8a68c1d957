// The thread itself, in processes of one rank that it may end.
#include "launch/watchdog/watchdog.h"

#include <chrono>
#include <functional>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parallel/groups/self_group.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;
using parallel::Phase;

namespace {

constexpr double kFloor = 1;

struct End {
  int code = 0;
  double seconds = 0;
};

using Start = std::unique_ptr<Watchdog>(const ScratchFolder&, parallel::ProcessGroup&);

std::unique_ptr<Watchdog> in_run(const ScratchFolder& folder, parallel::ProcessGroup& world) {
  return Watchdog::start(Heartbeats::make(folder / Heartbeats::kFile, 1), folder.path(), kFloor, world, {});
}

std::unique_ptr<Watchdog> before_run(const ScratchFolder& folder, parallel::ProcessGroup& world) {
  return Watchdog::start_before_run(folder.path(), kFloor, world, {});
}

// What becomes of a process that does so, with a deadline of a second, in this folder.
End watched(const ScratchFolder& folder, const std::function<void(parallel::ProcessGroup&)>& run,
            Start* start = in_run) {
  const double began = steady_seconds();
  const pid_t child = ::fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    parallel::SelfGroup world(parallel::kWorldLabel, std::make_shared<parallel::FlightRecord>());
    {
      const auto dog = start(folder, world);
      for (i64 step = 1; step <= 5; ++step) dog->step_done(step, 0.01);
      run(world);
    }
    std::_Exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return {WEXITSTATUS(status), steady_seconds() - began};
}

void rest(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

void compute(double seconds) {
  for (const double end = steady_seconds() + seconds; steady_seconds() < end;) {
  }
}

}  // namespace

TEST_CASE("a rank that gets nowhere is ended, with a report") {
  const ScratchFolder folder;
  const End end = watched(folder, [](parallel::ProcessGroup& world) {
    world.enter(Phase::compute);
    rest(60);
  });
  CHECK(end.code == 74);
  CHECK(end.seconds >= kFloor);
  CHECK(end.seconds < 10);
  CHECK(contents_of(folder / "hang-1/report.txt")
            .starts_with("rank 0 is in its forward and backward, behind "));
  CHECK(contents_of(folder / "hang-1/rank-0.jsonl").find("\"watchdog\"") != std::string::npos);
}

TEST_CASE("a rank that computes without an end within a step is ended as well") {
  const ScratchFolder folder;
  const End end = watched(folder, [](parallel::ProcessGroup& world) {
    world.enter(Phase::compute);
    compute(60);
  });
  CHECK(end.code == 74);
}

TEST_CASE("a rank that works between steps takes what time it needs, and what idles there does not") {
  const ScratchFolder folder;
  const End end = watched(folder, [](parallel::ProcessGroup& world) {
    world.enter(Phase::save);
    compute(3 * kFloor);
    rest(60);
  });
  CHECK(end.code == 74);
  CHECK(end.seconds >= 3.9 * kFloor);
}

TEST_CASE("collectives and phases are signs of life, and a run that ends leaves no file") {
  const ScratchFolder folder;
  const End end = watched(folder, [](parallel::ProcessGroup& world) {
    for (int i = 0; i < 10; ++i) {
      rest(0.3 * kFloor);
      if (i % 2 == 0)
        world.barrier({}, "again");
      else
        world.enter(Phase::data);
    }
  });
  CHECK(end.code == 0);
  CHECK(folder.entries() == 0);
}

TEST_CASE(
    "before there is a run who gets nowhere is ended, who reads or computes is not, and no file is seen") {
  const ScratchFolder folder;
  i64 files = 0;
  const End idle = watched(
      folder, [](parallel::ProcessGroup&) { rest(60); }, before_run);
  CHECK(idle.code == 74);
  CHECK(idle.seconds >= kFloor);
  CHECK(idle.seconds < 10);
  files += folder.entries();
  const End busy = watched(
      folder,
      [&](parallel::ProcessGroup& world) {
        if (folder.entries() > 0) std::_Exit(1);
        compute(2.5 * kFloor);
        world.barrier({}, "data check");
      },
      before_run);
  CHECK(busy.code == 0);
  CHECK(busy.seconds >= 2.5 * kFloor);
  CHECK(files + folder.entries() == 0);
}

TEST_CASE("the records of an earlier hang stay") {
  const ScratchFolder folder;
  for (int i = 0; i < 2; ++i)
    CHECK(watched(folder, [](parallel::ProcessGroup& world) {
            world.enter(Phase::gradient_sum);
            rest(60);
          }).code == 74);
  CHECK(std::filesystem::exists(folder / "hang-1/report.txt"));
  CHECK(std::filesystem::exists(folder / "hang-2/report.txt"));
}

TEST_CASE("without a file that all ranks can write there is no watchdog, and the run goes on") {
  const ScratchFolder folder;
  parallel::SelfGroup world(parallel::kWorldLabel, std::make_shared<parallel::FlightRecord>());
  init_log(0, 1, Verbosity::quiet);
  CHECK(Watchdog::start(nullptr, folder.path(), kFloor, world, {}) == nullptr);
}
