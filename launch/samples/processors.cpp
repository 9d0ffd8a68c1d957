#include "launch/samples/processors.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <omp.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launch/control_groups.h"
#include "runtime/base/shorten.h"

namespace longsight::launch {
namespace {

std::optional<double> quota_of(const std::string& folder, bool unified) {
  double period = 0;
  std::string quota;
  if (unified) {
    std::ifstream(folder + "/cpu.max") >> quota >> period;  // "max 100000" where there is none
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;  // "-1" where there is none
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  const double time = std::strtod(quota.c_str(), nullptr);
  if (!(time > 0) || !(period > 0)) return std::nullopt;
  return time / period;
}

u64 identity_of(const std::string& folder) {
  struct stat info {};
  return stat(folder.c_str(), &info) == 0 ? static_cast<u64>(info.st_ino) : 0;
}

i64 processors_in(const ProcessorLimits& limits) {
  i64 count = 0;
  for (const u64 word : limits.mask) count += std::popcount(word);
  return count;
}

bool overlap(const ProcessorLimits& a, const ProcessorLimits& b) {
  for (std::size_t i = 0; i < a.mask.size(); ++i) {
    if ((a.mask[i] & b.mask[i]) != 0) return true;
  }
  return false;
}

}  // namespace

std::optional<CpuQuota> cpu_quota(const std::string& root) {
  std::optional<CpuQuota> tightest;
  for (const ControlGroup& group : control_groups("cpu", root)) {
    const auto quota = quota_of(group.folder, group.unified);
    if (quota && (!tightest || *quota < tightest->processors))
      tightest = CpuQuota{.processors = *quota, .group = identity_of(group.folder)};
  }
  return tightest;
}

ProcessorLimits processor_limits() {
  ProcessorLimits limits;
  static_assert(sizeof(limits.mask) % sizeof(cpu_set_t) == 0);
  if (sched_getaffinity(0, sizeof(limits.mask), reinterpret_cast<cpu_set_t*>(limits.mask.data())) != 0) {
    // More processors than fit: their number counts, not which they are.
    const long online = std::clamp(sysconf(_SC_NPROCESSORS_ONLN), 1L, 4096L);
    for (long i = 0; i < online; ++i) limits.mask[static_cast<std::size_t>(i / 64)] |= u64{1} << (i % 64);
  }
  if (const auto quota = cpu_quota()) {
    limits.quota = quota->processors;
    limits.quota_group = quota->group;
  }
  return limits;
}

ProcessorShare processor_share(std::span<const ProcessorLimits> node, int rank) {
  const ProcessorLimits& own = node[static_cast<std::size_t>(rank)];
  ProcessorShare share{.threads = 1, .processors = processors_in(own), .ranks = 0, .quota = own.quota};
  double processors = 0;
  for (std::size_t word = 0; word < own.mask.size(); ++word) {
    for (u64 bits = own.mask[word]; bits != 0; bits &= bits - 1) {
      const u64 bit = bits & (~bits + 1);
      const auto has = [&](const ProcessorLimits& l) { return (l.mask[word] & bit) != 0; };
      processors += 1.0 / static_cast<double>(std::count_if(node.begin(), node.end(), has));
    }
  }
  i64 in_group = 0;
  for (const ProcessorLimits& limits : node) {
    share.ranks += overlap(own, limits);
    in_group += limits.quota > 0 && limits.quota_group == own.quota_group;
  }
  if (own.quota > 0) processors = std::min(processors, own.quota / static_cast<double>(in_group));
  // Sums of thirds may be a little short of the whole.
  share.threads = std::max<i64>(1, static_cast<i64>(std::floor(processors + 1e-6)));
  return share;
}

// As OpenMP has it: "4", or a number for each level of nesting, "4,2".
bool is_thread_count(const std::string& text) {
  const std::string_view kSpace = " \t";
  std::size_t begin = 0;
  for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(',', begin);
    const std::size_t first = std::min(text.find_first_not_of(kSpace, begin), text.size());
    i64 count = 0;
    const char* const stop = text.data() + std::min(end, text.size());
    const auto [rest, error] = std::from_chars(text.data() + first, stop, count);
    const bool whole = std::string_view(rest, stop).find_first_not_of(kSpace) == std::string_view::npos;
    if (error != std::errc() || !whole || count < 1 || count > kMostThreads) return false;
  }
  return true;
}

std::string choose_threads(parallel::ProcessGroup& node) {
  const std::vector<ProcessorLimits> limits = node.all_gather(processor_limits(), {}, "processors");
  const ProcessorShare share = processor_share(limits, node.rank());
  const char* const asked = std::getenv("OMP_NUM_THREADS");
  if (asked != nullptr && *asked != '\0') {
    require(
        is_thread_count(asked), ExitCode::usage,
        "OMP_NUM_THREADS={}: not a number of threads (1 to {}); unset it, and each rank takes its share of "
        "the processors",
        shortened(asked), kMostThreads);
    return fmt::format("threads: {} a rank (OMP_NUM_THREADS)", omp_get_max_threads());
  }
  omp_set_num_threads(narrow<int>(share.threads));
  return fmt::format("threads: {} a rank ({} processor{} for {} rank{} of this node{})", share.threads,
                     share.processors, share.processors == 1 ? "" : "s", share.ranks,
                     share.ranks == 1 ? "" : "s",
                     share.quota > 0 ? fmt::format(", its control group may use {:.4g}", share.quota) : "");
}

void ask_for_short_slices() {
  constexpr u64 kSlice = 500'000;  // ns; a processor that is fought for changes hands about so often
  // sched_attr of <linux/sched/types.h>, which some versions of the C library cannot stand beside <sched.h>.
  struct {
    std::uint32_t size, policy;
    u64 flags;
    std::int32_t nice;
    std::uint32_t priority;
    u64 runtime, deadline, period;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;
  attributes.runtime = kSlice;
  syscall(SYS_sched_setattr, 0, &attributes, 0);  // an older kernel ignores it
}

void let_idle_threads_sleep(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "1000", 1) != 0) return;  // some ten microseconds, about what waking takes
  std::error_code none;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", none).string();
  execv(program.c_str(), argv);  // returns only where it cannot; then they poll
}

}  // namespace longsight::launch
