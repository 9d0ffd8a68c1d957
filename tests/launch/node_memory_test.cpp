#include "launch/node_memory.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

TEST_CASE("memory that is left is what the machine has, or less where a control group leaves less") {
  const ScratchFolder scratch;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(scratch / name).parent_path());
    scratch.write(name, text);
  };
  const auto left = [&] { return memory_left(scratch.path()); };
  CHECK(left() == std::nullopt);
  write("proc/meminfo", "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\n");
  CHECK(left() == 4000 * 1024);

  SUBCASE("version 2") {
    write("proc/self/mountinfo", "35 25 0:30 / /cg rw - cgroup2 cgroup2 rw\n");
    write("proc/self/cgroup", "0::/job/step\n");
    write("cg/job/step/memory.max", "max\n");
    write("cg/job/step/memory.current", "5\n");
    CHECK(left() == 4000 * 1024);
    write("cg/job/memory.max", "2000000\n");
    write("cg/job/memory.current", "1500000\n");
    CHECK(left() == 500000);
    // The cache of files can be given back.
    write("cg/job/memory.stat", "anon 1\nfile 600000\ninactive_file 400000\nactive_file 200000\n");
    CHECK(left() == 900000);
    write("cg/job/memory.current", "9000000\n");
    CHECK(left() == 0);
  }
  SUBCASE("version 1") {
    write("proc/self/mountinfo", "35 25 0:30 / /m rw - cgroup cgroup rw,memory\n");
    write("proc/self/cgroup", "3:memory:/c\n4:cpu:/c\n");
    write("m/c/memory.limit_in_bytes", "3000000\n");
    write("m/c/memory.usage_in_bytes", "1000000\n");
    write("m/c/memory.stat", "inactive_file 3\ntotal_inactive_file 500000\n");
    CHECK(left() == 2500000);
    write("m/c/memory.limit_in_bytes", "9223372036854771712\n");  // no limit
    CHECK(left() == 4000 * 1024);
  }
}

TEST_CASE("ranks of a node share nine tenths of what is left") {
  CHECK(share_of_memory(1000, 1) == 900);
  CHECK(share_of_memory(1000, 4) == 225);
  CHECK(share_of_memory(0, 4) == 0);
}
