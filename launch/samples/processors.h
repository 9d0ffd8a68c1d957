// How many threads a rank gets: its share of the processors that the job may use on its node.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>

#include "parallel/groups/process_group.h"

namespace longsight::launch {

// Most processor time that a Linux control group (a container, a batch job) may use, version 1 or 2.
struct CpuQuota {
  double processors = 0;
  u64 group = 0;  // tells one control group of the node from another
};

// What the kernel allows one process. Trivially copyable: the ranks of a node exchange it.
struct ProcessorLimits {
  std::array<u64, 64> mask{};  // affinity, a bit for each processor
  double quota = 0;            // processors; 0: none
  u64 quota_group = 0;
};

struct ProcessorShare {
  i64 threads = 1;     // of this rank, at least 1
  i64 processors = 0;  // in its affinity mask
  i64 ranks = 1;       // whose masks have some of these processors, itself included
  double quota = 0;    // of its control group; 0: none
};

// The tightest quota of the control groups that this process is in. `root` stands before every path that is
// read, "" but in tests.
std::optional<CpuQuota> cpu_quota(const std::string& root = "");

ProcessorLimits processor_limits();

// A processor that several masks have is shared by their ranks, a quota by the ranks in its group.
ProcessorShare processor_share(std::span<const ProcessorLimits> node, int rank);

inline constexpr i64 kMostThreads = 4096;
// Whether OMP_NUM_THREADS says it: up to so many threads. What OpenMP does not understand it ignores, with a
// word that drowns.
bool is_thread_count(const std::string& text);

// Collective over the node's ranks. Sets the number of OpenMP threads, unless OMP_NUM_THREADS does, and
// returns a line for the log. usage for an OMP_NUM_THREADS that is no number of threads.
std::string choose_threads(parallel::ProcessGroup& node);

// Asks the kernel (Linux 6.12 and later) for short turns on processors that others use too. A rank sleeps
// many times in a step; when its message is there, it then need not wait for the end of a neighbour's turn,
// some milliseconds. Threads made later inherit it; nobody's share of a processor changes.
void ask_for_short_slices();

// Keeps idle OpenMP threads from polling longer than a hand-over takes, which costs a neighbour its
// processor. The OpenMP library reads this from the environment as it is loaded, so the program starts itself
// anew; call before anything else. OMP_WAIT_POLICY and GOMP_SPINCOUNT of the user count.
void let_idle_threads_sleep(char** argv);

}  // namespace longsight::launch
