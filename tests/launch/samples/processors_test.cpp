#include "launch/samples/processors.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

ProcessorLimits limits(u64 mask, double quota = 0, u64 group = 0) {
  ProcessorLimits l;
  l.mask[0] = mask;
  l.quota = quota;
  l.quota_group = group;
  return l;
}

// Nanoseconds that the kernel lets this thread run on a processor that others want; 0: it does not say.
u64 slice() {
  std::array<std::uint32_t, 12> attributes{};  // sched_attr of <linux/sched/types.h>
  REQUIRE(syscall(SYS_sched_getattr, 0, attributes.data(), sizeof attributes, 0) == 0);
  return attributes[6] + (u64{attributes[7]} << 32);
}

std::vector<i64> threads_of(const std::vector<ProcessorLimits>& node) {
  std::vector<i64> threads;
  for (std::size_t r = 0; r < node.size(); ++r)
    threads.push_back(processor_share(node, static_cast<int>(r)).threads);
  return threads;
}

void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("ranks that are not bound share the processors of the node") {
  CHECK(threads_of({limits(0xff)}) == std::vector<i64>{8});
  CHECK(threads_of({limits(0xff), limits(0xff)}) == std::vector<i64>{4, 4});
  CHECK(threads_of({limits(0x3), limits(0x3), limits(0x3)}) == std::vector<i64>{1, 1, 1});
  CHECK(threads_of({limits(0x7), limits(0x7), limits(0x7)}) == std::vector<i64>{1, 1, 1});
}

TEST_CASE("ranks with processors of their own use all of these, ranks whose masks overlap share") {
  CHECK(threads_of({limits(0x0f), limits(0xf0)}) == std::vector<i64>{4, 4});
  CHECK(threads_of({limits(0x0f), limits(0x0f), limits(0xf0)}) == std::vector<i64>{2, 2, 4});
  CHECK(threads_of({limits(0x0f), limits(0x3c)}) == std::vector<i64>{3, 3});
  CHECK(processor_share(std::vector{limits(0x0f), limits(0x3c), limits(0xc0)}, 0).ranks == 2);
}

TEST_CASE("the quota of a control group is shared by the ranks in it") {
  CHECK(threads_of({limits(0xff, 3.0, 7)}) == std::vector<i64>{3});
  CHECK(threads_of({limits(0xff, 4.0, 7), limits(0xff, 4.0, 7)}) == std::vector<i64>{2, 2});
  CHECK(threads_of({limits(0xff, 2.5, 7), limits(0xff, 2.5, 8)}) == std::vector<i64>{2, 2});
  CHECK(threads_of({limits(0xff, 0.5, 7)}) == std::vector<i64>{1});
  CHECK(threads_of({limits(0x3, 16.0, 7)}) == std::vector<i64>{2});
}

TEST_CASE("the quota of control groups of version 2 is the tightest on the way to the root") {
  const ScratchFolder scratch;
  const std::string root = scratch.path();
  write(root + "/proc/self/mountinfo",
        "25 30 0:22 / /sys rw,nosuid - sysfs sysfs rw\n"
        "35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  write(root + "/proc/self/cgroup", "0::/slurm/job7/step0\n");
  write(root + "/sys/fs/cgroup/slurm/job7/step0/cpu.max", "max 100000\n");
  CHECK(!cpu_quota(root));
  write(root + "/sys/fs/cgroup/slurm/job7/cpu.max", "150000 100000\n");
  REQUIRE(cpu_quota(root));
  CHECK(cpu_quota(root)->processors == 1.5);
  write(root + "/sys/fs/cgroup/slurm/cpu.max", "400000 100000\n");
  CHECK(cpu_quota(root)->processors == 1.5);
  const u64 job = cpu_quota(root)->group;
  write(root + "/sys/fs/cgroup/slurm/job7/step0/cpu.max", "50000 50000\n");
  CHECK(cpu_quota(root)->processors == 1.0);
  CHECK(cpu_quota(root)->group != job);
}

TEST_CASE("the quota of a container counts where it sees only its own part of the hierarchy") {
  const ScratchFolder scratch;
  const std::string root = scratch.path();
  SUBCASE("version 2: the container's group is the root") {
    write(root + "/proc/self/mountinfo", "35 25 0:30 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    write(root + "/proc/self/cgroup", "0::/\n");
    write(root + "/sys/fs/cgroup/cpu.max", "300000 100000\n");
  }
  SUBCASE("version 1: the path is the node's, the mount begins at it") {
    write(root + "/proc/self/mountinfo",
          "40 35 0:33 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro master:15 - cgroup cgroup rw,cpu,cpuacct\n"
          "41 35 0:34 /docker/abc /sys/fs/cgroup/cpuset ro master:16 - cgroup cgroup rw,cpuset\n");
    write(root + "/proc/self/cgroup", "5:cpuset:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n");
    write(root + "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
    write(root + "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  }
  REQUIRE(cpu_quota(root));
  CHECK(cpu_quota(root)->processors == 3);
}

TEST_CASE("without control groups, or without a limit in them, there is no quota") {
  const ScratchFolder scratch;
  const std::string root = scratch.path();
  CHECK(!cpu_quota(root));
  write(root + "/proc/self/mountinfo", "40 35 0:33 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
  write(root + "/proc/self/cgroup", "4:cpu:/\n");
  write(root + "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write(root + "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  CHECK(!cpu_quota(root));
}

TEST_CASE("OMP_NUM_THREADS is a number of threads, or one for each level of nesting") {
  for (const char* good : {"1", "16", " 4 ", "4,2", "4 , 2", "4096"}) {
    CAPTURE(good);
    CHECK(is_thread_count(good));
  }
  for (const char* bad : {"", " ", "0", "-3", "abc", "2x", "1.5", "4,", ",4", "4,,2", "4,0", "4097",
                          "99999999999999999999", "0x4", "2 2"}) {
    CAPTURE(bad);
    CHECK(!is_thread_count(bad));
  }
}

TEST_CASE("The kernel gives short turns where it can, to threads made later too, and the policy stays") {
  std::thread([] {
    const int policy = sched_getscheduler(0);
    const bool can = slice() > 0;
    ask_for_short_slices();
    CHECK(sched_getscheduler(0) == policy);
    if (can && policy == SCHED_OTHER) CHECK(slice() == 500'000);
    const u64 given = slice();
    std::thread([&] { CHECK(slice() == given); }).join();
  }).join();
}
