#include "launch/doctor/checks.h"

#include <filesystem>
#include <thread>

#include <doctest/doctest.h>

#include "launch/doctor/sizes.h"
#include "launch/within.h"
#include "parallel/groups/self_group.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;
using namespace longsight::launch::doctor;

namespace {

RankProcessors on(u64 mask, i64 threads, double quota = 0) {
  RankProcessors r{.limits = {}, .threads = threads};
  r.limits.mask[0] = mask;
  r.limits.quota = quota;
  r.limits.quota_group = quota > 0 ? 7 : 0;
  return r;
}

// What is wrong says what to do.
void check(const Finding& finding, Verdict verdict, const std::string& part = "") {
  CAPTURE(finding.text);
  CHECK(finding.verdict == verdict);
  CHECK(contains(finding.text + "; " + finding.remedy, part));
  if (verdict != Verdict::ok) CHECK_FALSE((verdict == Verdict::wrong && finding.remedy.empty()));
}

}  // namespace

TEST_CASE("a host name without an address, or with a slow one, is wrong") {
  check(judge_host_name({.host = "n1", .seconds = 0.01}), Verdict::ok);
  check(judge_host_name({.host = "n1", .seconds = 2.5}), Verdict::wrong, "2.5 s");
  check(judge_host_name({.host = "n1", .seconds = 5, .error = "Name or service not known"}), Verdict::wrong,
        "n1 has no address (Name or service not known, after 5.0 s); mpirun asks for it");
  check(judge_host_name({.host = "n1", .answered = false, .seconds = 15}), Verdict::wrong,
        "no answer in 15 s");
  CHECK(resolve("localhost", 10).error.empty());
  CHECK_FALSE(resolve("no-such-host.invalid", 0).answered);  // not waited for
}

TEST_CASE("what does not answer is left behind") {
  CHECK(within(10, [] { return 3; }) == 3);
  CHECK(within(0.01, [] {
          std::this_thread::sleep_for(std::chrono::milliseconds(300));
          return 3;
        }) == std::nullopt);
  CHECK(failure_of([] { within(10, []() -> int { fail(ExitCode::bad_data, "x"); }); }).code ==
        ExitCode::bad_data);
}

TEST_CASE("shared memory must hold what the ranks of a node send") {
  check(judge_shared_memory({.total = 8 * kGiB, .free = 8 * kGiB, .ranks = 8}), Verdict::ok);
  check(judge_shared_memory({.total = 64 * kMiB, .free = 64 * kMiB, .ranks = 8}), Verdict::wrong,
        "--shm-size");
  check(judge_shared_memory({.there = false}), Verdict::wrong, "no /dev/shm");
}

TEST_CASE("a temporary folder that is full or cannot be written is wrong") {
  check(judge_temporary_folder({.path = "/tmp", .free = kGiB}), Verdict::ok);
  check(judge_temporary_folder({.path = "/tmp", .free = kMiB}), Verdict::wrong, "1.00 MiB left");
  check(judge_temporary_folder({.path = "/tmp", .error = "Permission denied", .free = kGiB}), Verdict::wrong,
        "TMPDIR");
}

TEST_CASE("a processor that lacks what the program was built for is wrong") {
  const Instructions best{.avx2 = true,
                          .avx512 = true,
                          .bf16 = true,
                          .amx = true,
                          .built_for_avx512 = true,
                          .onednn = "avx512_core_amx"};
  check(judge_instructions(best), Verdict::ok,
        "AVX-512, bf16, AMX; program built for AVX-512; oneDNN uses avx512_core_amx");
  Instructions old = best;
  old.avx512 = false;
  check(judge_instructions(old), Verdict::wrong, "SIGILL");
  old.built_for_avx512 = old.avx2 = false;
  check(judge_instructions(old), Verdict::wrong, "x86-64-v3");
  Instructions held = best;
  held.limit = "ONEDNN_MAX_CPU_ISA";
  check(judge_instructions(held), Verdict::note, "ONEDNN_MAX_CPU_ISA");
}

TEST_CASE("the memory that counts is the least that anything allows") {
  check(judge_memory({.total = 64 * kGiB, .available = 60 * kGiB}), Verdict::ok);
  check(judge_memory({.total = 64 * kGiB, .available = kGiB / 2}), Verdict::wrong);
  check(
      judge_memory({.total = 64 * kGiB, .available = 60 * kGiB, .group_limit = 8 * kGiB, .group_used = kGiB}),
      Verdict::ok, "may use 8.00 GiB, of which 7.00 GiB are left");
  check(judge_memory({.total = 64 * kGiB,
                      .available = 60 * kGiB,
                      .group_limit = 2 * kGiB,
                      .group_used = 2 * kGiB - kMiB}),
        Verdict::wrong, "--mem");
  check(judge_memory(
            {.total = 64 * kGiB, .available = 60 * kGiB, .strict_commit = true, .commit_left = 9 * kGiB}),
        Verdict::note, "overcommit");
  check(
      judge_memory({.total = 64 * kGiB, .available = 60 * kGiB, .strict_commit = true, .commit_left = kMiB}),
      Verdict::wrong);
}

TEST_CASE("the limit of a control group is read, version 1 and 2, and the tightest counts") {
  const ScratchFolder scratch;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(scratch / name).parent_path());
    scratch.write(name, text);
  };
  const auto limit = [&] {
    return control_group_memory("memory.max", "memory.limit_in_bytes", scratch.path());
  };
  CHECK(limit() == std::nullopt);
  write("proc/self/mountinfo", "35 25 0:30 / /cg rw - cgroup2 cgroup2 rw\n");
  write("proc/self/cgroup", "0::/job/step\n");
  write("cg/job/step/memory.max", "max\n");
  CHECK(limit() == std::nullopt);
  write("cg/job/memory.max", "1000\n");
  write("cg/memory.max", "2000\n");
  CHECK(limit() == 1000);
  write("proc/self/mountinfo", "35 25 0:30 / /m rw - cgroup cgroup rw,memory\n");
  write("proc/self/cgroup", "3:memory:/c\n4:cpu:/c\n");
  write("m/c/memory.limit_in_bytes", "3000\n");
  CHECK(limit() == 3000);
}

TEST_CASE("limits that would end a run are wrong, one by one") {
  const Limits none{.memory = 16 * kGiB};
  CHECK(judge_limits(none).size() == 1);
  check(judge_limits(none)[0], Verdict::ok);
  const auto wrong = [&](const Limits& l, const std::string& part) {
    const Findings findings = judge_limits(l);
    REQUIRE(findings.size() == 1);
    check(findings[0], Verdict::wrong, part);
  };
  wrong({.address_space = 8 * kGiB, .memory = 16 * kGiB}, "ulimit -v unlimited");
  wrong({.data = 8 * kGiB, .memory = 16 * kGiB}, "ulimit -d unlimited");
  wrong({.open_files = 100, .memory = 16 * kGiB}, "ulimit -n 4096");
  wrong({.file_size = kGiB, .memory = 16 * kGiB}, "ulimit -f unlimited");
  wrong({.processes = 50, .memory = 16 * kGiB}, "ulimit -u 4096");
  wrong({.locked = 8 * kMiB, .memory = 16 * kGiB, .infiniband = true}, "ulimit -l unlimited");
  CHECK(judge_limits({.open_files = 100, .file_size = kGiB}).size() == 2);
  check(judge_limits({.locked = 8 * kMiB, .open_files = 1024})[0], Verdict::ok);
}

TEST_CASE("root is told how mpirun starts") {
  check(judge_root(false, false, false), Verdict::ok);
  check(judge_root(true, true, false), Verdict::ok);
  check(judge_root(true, false, true), Verdict::ok);
  check(judge_root(true, false, false), Verdict::note, "OMPI_ALLOW_RUN_AS_ROOT=1");
}

TEST_CASE("threads without a processor of their own are found") {
  const auto judged = [](const std::vector<RankProcessors>& node, const Binding& binding = {}) {
    return judge_processors(node, 0, binding);
  };
  check(judged({on(0xf, 4)}), Verdict::ok, "4 threads on processors 0-3");
  check(judged({on(0x5, 2), on(0xa, 2)}), Verdict::ok, "2 threads on processors 0, 2");
  check(judged({on(0xf, 2), on(0xf, 2)}), Verdict::ok, "which 2 ranks have");
  check(judged({on(0x1, 4)}), Verdict::wrong, "--bind-to none");
  check(judged({on(0xff, 8, 2.0)}), Verdict::wrong, "a quota of 2 processors");
  check(judged({on(0x3, 1), on(0x3, 1), on(0x3, 1)}), Verdict::note,
        "3 threads of 3 ranks share 2 processors");
  check(judged({on(0xf, 2), on(0xf, 2)}, {"OMP_PROC_BIND=true"}), Verdict::wrong,
        "OMP_PROC_BIND=true; each rank binds");
  check(judged({on(0x3, 2), on(0xc, 2)}, {"OMP_PROC_BIND=true"}), Verdict::ok);
  check(judged({on(0xf, 1)}), Verdict::note, "3 of its processors have nothing to do");
}

TEST_CASE("where a GPU is not used, doctor says whether the program, the driver or the GPU is missing") {
  const CudaFacts without{};
  check(judge_gpu(without, ""), Verdict::ok, "no NVIDIA driver; this program was built without CUDA");
  check(judge_gpu(without, "580.65"), Verdict::note,
        "an NVIDIA driver (580.65); this program was built without CUDA and computes on processors; cmake");
  CudaFacts with{.built = true, .missing = "there is no NVIDIA driver (libcuda.so.1)", .runtime = "13.0"};
  check(
      judge_gpu(with, ""), Verdict::note,
      "there is no NVIDIA driver (libcuda.so.1); this program, built for CUDA 13.0, computes on processors");
  with = {.built = true, .devices = 2, .missing = {}, .driver = "13.1", .runtime = "13.0"};
  check(judge_gpu(with, "590.1"), Verdict::ok,
        "2 GPUs can be used; the driver knows CUDA 13.1, this program was built for 13.0");
}

TEST_CASE("other work on the processors is worth knowing") {
  check(judge_load(0.2, 2), Verdict::ok);
  check(judge_load(3.1, 2), Verdict::note, "3.1 threads");
}

TEST_CASE("equal findings of ranks are one, others are named by rank") {
  const Finding same{.name = "a", .text = "x"}, other{Verdict::wrong, "a", "y", "do it"},
      last{.name = "b", .text = "z"};
  const auto merged = merge({{same, last}, {other, last}, {same, last}, {other, last}, {other, last}});
  REQUIRE(merged.size() == 3);
  CHECK(text_of(merged[0], 3, 5) == "ok     a    x (ranks 0, 2)");
  CHECK(text_of(merged[1], 3, 5) == "WRONG  a    y (ranks 1, 3-4)\n            -> do it");
  CHECK(text_of(merged[2], 3, 5) == "ok     b    z");
  CHECK(text_of({same, {3}}, 1, 5) == "ok     a  x (rank 3)");
  parallel::SelfGroup self;
  const auto gathered = gather({same, other}, self, {});
  REQUIRE(gathered.size() == 2);
  CHECK(gathered[1].finding == other);
}

TEST_CASE("a folder is tried as a run uses it, and left as it was") {
  const ScratchFolder scratch;
  parallel::SelfGroup self;
  const Findings good = check_folder(scratch / "not/there/yet", self, {});
  REQUIRE(good.size() == 1);
  check(good[0], good[0].verdict, "synced and renamed");
  CHECK(good[0].verdict != Verdict::wrong);
  CHECK(scratch.entries() == 0);
  const Findings bad = check_folder("/proc", self, {});
  REQUIRE(bad.size() == 1);
  check(bad[0], Verdict::wrong, "cannot write /proc");
}
