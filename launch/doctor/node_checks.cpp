// What the ranks of a node have in common.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <dlfcn.h>
#include <netdb.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

#include "launch/control_groups.h"
#include "launch/doctor/checks.h"
#include "launch/doctor/sizes.h"
#include "launch/measure.h"
#include "launch/node_memory.h"
#include "launch/output.h"
#include "launch/planning/units.h"
#include "launch/within.h"
#include "runtime/base/clock.h"

namespace longsight::launch::doctor {
namespace {

constexpr double kLongestLookup = 15;  // for a name server, seconds

std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(std::min(line.find(": ") + 2, line.size()));
  }
  return {};
}

SharedMemory look_at_shared_memory(i64 ranks) {
  SharedMemory memory{.ranks = ranks};
  struct statvfs disk {};
  memory.there = ::statvfs("/dev/shm", &disk) == 0;
  memory.total = static_cast<i64>(disk.f_blocks * disk.f_frsize);
  memory.free = static_cast<i64>(disk.f_bavail * disk.f_frsize);
  return memory;
}

TemporaryFolder look_at_temporary_folder() {
  const char* const given = std::getenv("TMPDIR");
  TemporaryFolder folder{.path = given != nullptr && *given != '\0' ? given : "/tmp"};
  try {
    require_writable_folder(folder.path);
  } catch (const Error& error) {
    folder.error = error.what();
  }
  const std::optional<i64> free = free_bytes(folder.path);
  if (!free) folder.error = "no such folder";
  folder.free = free.value_or(0);
  return folder;
}

Instructions look_at_instructions() {
  const std::string flags = " " + cpuinfo("flags") + " ";
  const auto has = [&](const char* flag) { return flags.find(fmt::format(" {} ", flag)) != flags.npos; };
  Instructions found{.avx2 = has("avx2") && has("fma"),
                     .avx512 = has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl"),
                     .bf16 = has("avx512_bf16"),
                     .amx = has("amx_tile") && has("amx_bf16")};
#ifdef __AVX512F__
  found.built_for_avx512 = true;
#endif
  std::string set = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());
  const std::string prefix = "cpu_isa_";
  found.onednn = set.starts_with(prefix) ? set.substr(prefix.size()) : set;
  for (const char* variable : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
    if (std::getenv(variable) != nullptr) found.limit = variable;
  }
  found.processor = cpuinfo("model name");
  return found;
}

Memory look_at_memory() {
  Memory memory{.total = meminfo("MemTotal"),
                .available = meminfo("MemAvailable"),
                .group_limit = control_group_memory("memory.max", "memory.limit_in_bytes"),
                .group_used = control_group_memory("memory.current", "memory.usage_in_bytes")};
  int overcommit = 0;
  std::ifstream("/proc/sys/vm/overcommit_memory") >> overcommit;
  memory.strict_commit = overcommit == 2;
  memory.commit_left = meminfo("CommitLimit") - meminfo("Committed_AS");
  // Version 1 says "no limit" by a number that is larger than any memory.
  if (memory.group_limit && *memory.group_limit >= memory.total) memory.group_limit.reset();
  return memory;
}

std::string gpu_driver() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  if (std::getline(file, line)) {
    // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 ..."
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word.find('.') != word.npos && word.find_first_not_of("0123456789.") == word.npos) return word;
    }
    return "of an unknown version";
  }
  // Containers may have the library alone.
  void* const library = ::dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) return {};
  ::dlclose(library);
  return "of an unknown version";
}

}  // namespace

Resolution resolve(const std::string& host, double longest_wait) {
  const double start = steady_seconds();
  const auto error = within(longest_wait, [host]() -> std::string {
    addrinfo* addresses = nullptr;
    const int status = ::getaddrinfo(host.c_str(), nullptr, nullptr, &addresses);
    if (status == 0) ::freeaddrinfo(addresses);
    return status == 0 ? "" : ::gai_strerror(status);
  });
  return {.host = host,
          .answered = error.has_value(),
          .seconds = steady_seconds() - start,
          .error = error.value_or("")};
}

Finding judge_host_name(const Resolution& r) {
  constexpr double kSlow = 0.5;
  Finding finding{.name = "host name", .text = fmt::format("{} has an address", r.host)};
  if (r.answered && r.error.empty() && r.seconds < kSlow) return finding;
  finding.verdict = Verdict::wrong;
  finding.text = !r.answered ? fmt::format("{}: no answer in {:.0f} s", r.host, r.seconds)
                 : !r.error.empty()
                     ? fmt::format("{} has no address ({}, after {:.1f} s)", r.host, r.error, r.seconds)
                     : fmt::format("{}: its address took {:.1f} s", r.host, r.seconds);
  finding.remedy = fmt::format(
      "mpirun asks for it several times and starts 5 to 10 s late: add the line \"127.0.1.1 {}\" to "
      "/etc/hosts of this node, with its own address in a cluster",
      r.host);
  return finding;
}

Finding judge_shared_memory(const SharedMemory& m) {
  constexpr i64 kOfRank = 16 * kMiB;  // segments of Open MPI's vader and its collectives, generously
  Finding finding{.name = "shared memory",
                  .text = fmt::format("/dev/shm has {}", planning::bytes_text(m.total))};
  const i64 needed = m.ranks * kOfRank;
  if (!m.there) {
    finding = {Verdict::wrong, finding.name, "there is no /dev/shm",
               "mount it: mount -t tmpfs tmpfs /dev/shm; ranks of a node cannot talk without it"};
  } else if (m.free < needed) {
    finding.verdict = Verdict::wrong;
    finding.text +=
        fmt::format(", {} are free; {} rank{} of this node may need {}", planning::bytes_text(m.free),
                    m.ranks, m.ranks == 1 ? "" : "s", planning::bytes_text(needed));
    finding.remedy =
        "ranks die of SIGBUS when it is full: remove what dead jobs left there, start the container with "
        "--shm-size=1g, or mount it with more (mount -o remount,size=1g /dev/shm)";
  }
  return finding;
}

Finding judge_temporary_folder(const TemporaryFolder& t) {
  constexpr i64 kLeast = 64 * kMiB;
  Finding finding{.name = "temporary folder", .text = t.path + " can be written"};
  if (!t.error.empty()) {
    finding = {Verdict::wrong, finding.name, fmt::format("{}: {}", t.path, t.error),
               "mpirun keeps its session there: make it writable, or set TMPDIR to a folder that is"};
  } else if (t.free < kLeast) {
    finding = {Verdict::wrong, finding.name,
               fmt::format("{} has only {} left", t.path, planning::bytes_text(t.free)),
               "mpirun keeps its session there, and data packed by gzip are unpacked there: make room, or "
               "set TMPDIR to a folder that has some"};
  }
  return finding;
}

Finding judge_instructions(const Instructions& i) {
  Finding finding{.name = "instruction set"};
  std::string has = i.avx512 ? "AVX-512" : i.avx2 ? "AVX2" : "neither AVX2 nor AVX-512";
  if (i.bf16) has += ", bf16";
  if (i.amx) has += ", AMX";
  finding.text = fmt::format("{}: {}; program built for {}; oneDNN uses {}",
                             i.processor.empty() ? "processor" : i.processor, has,
                             i.built_for_avx512 ? "AVX-512" : "AVX2", i.onednn);
  if (!i.avx2 || (i.built_for_avx512 && !i.avx512)) {
    finding.verdict = Verdict::wrong;
    finding.remedy = i.avx2 ? "it will end with SIGILL: build on this machine, or with LONGSIGHT_NATIVE=OFF"
                            : "it needs an x86-64-v3 processor (AVX2 and FMA)";
  } else if (i.limit != nullptr) {
    finding.verdict = Verdict::note;
    finding.remedy = fmt::format("{} holds oneDNN back: unset it unless that is meant", i.limit);
  } else if (i.avx512 && !i.built_for_avx512) {
    finding.verdict = Verdict::note;
    finding.remedy = "a build for this machine is somewhat faster: cmake --preset host -DLONGSIGHT_NATIVE=ON";
  }
  return finding;
}

std::optional<i64> control_group_memory(const char* file_v2, const char* file_v1, const std::string& root) {
  std::optional<i64> least;
  for (const ControlGroup& group : control_groups("memory", root)) {
    i64 bytes = 0;
    std::ifstream file(group.folder + "/" + (group.unified ? file_v2 : file_v1));
    if (file >> bytes && (!least || bytes < *least)) least = bytes;  // "max" is no number
  }
  return least;
}

Finding judge_memory(const Memory& m) {
  constexpr i64 kLeast = kGiB;
  Finding finding{.name = "memory"};
  i64 left = m.available;
  finding.text =
      fmt::format("{}, {} available", planning::bytes_text(m.total), planning::bytes_text(m.available));
  if (m.group_limit) {
    const i64 used = m.group_used.value_or(0);
    left = std::min(left, *m.group_limit - used);
    finding.text += fmt::format("; this container or job may use {}, of which {} are left",
                                planning::bytes_text(*m.group_limit),
                                planning::bytes_text(std::max<i64>(0, *m.group_limit - used)));
  }
  if (m.strict_commit) {
    left = std::min(left, m.commit_left);
    finding.text += fmt::format("; the kernel promises no more than it has (vm.overcommit_memory 2): {} left",
                                planning::bytes_text(std::max<i64>(0, m.commit_left)));
    finding.verdict = Verdict::note;
    finding.remedy = "runs reserve more than they touch: sysctl vm.overcommit_memory=0, if you may";
  }
  if (left < kLeast) {
    finding.verdict = Verdict::wrong;
    finding.remedy =
        "too little for any model: end other programs, or give the container or job more (docker --memory, "
        "sbatch --mem)";
  }
  return finding;
}

Finding judge_gpu(const CudaFacts& cuda, const std::string& driver) {
  const std::string there =
      driver.empty() ? "no NVIDIA driver" : fmt::format("there is an NVIDIA driver ({})", driver);
  if (!cuda.built) {
    return {.verdict = driver.empty() ? Verdict::ok : Verdict::note,
            .name = "gpu",
            .text = there + "; this program was built without CUDA and computes on processors",
            .remedy = driver.empty() ? "" : "cmake --preset cuda builds one that computes on GPUs"};
  }
  if (cuda.devices == 0) {
    return {.verdict = Verdict::note,
            .name = "gpu",
            .text = fmt::format("{}; this program, built for CUDA {}, computes on processors", cuda.missing,
                                cuda.runtime)};
  }
  return {.name = "gpu",
          .text = fmt::format("{} GPU{} can be used; the driver knows CUDA {}, this program was built for {}",
                              cuda.devices, cuda.devices == 1 ? "" : "s", cuda.driver, cuda.runtime)};
}

Finding judge_load(double runnable, i64 processors) {
  Finding finding{.name = "other work", .text = "the processors are free"};
  // What others run, in the mean of a minute. A job that has just ended counts for some time.
  if (runnable <= 0.5 * static_cast<double>(processors)) return finding;
  return {.verdict = Verdict::note,
          .name = finding.name,
          .text = fmt::format("{:.1f} threads of other work ran on {} processor{} in the last minute",
                              runnable, processors, processors == 1 ? "" : "s"),
          .remedy = "training shares the processors with them, and measurements are not worth much"};
}

Findings check_node(i64 ranks) {
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return {judge_host_name(resolve(host_name(), kLongestLookup)),
          judge_instructions(look_at_instructions()),
          judge_load(load, ::sysconf(_SC_NPROCESSORS_ONLN)),
          judge_memory(look_at_memory()),
          judge_shared_memory(look_at_shared_memory(ranks)),
          judge_temporary_folder(look_at_temporary_folder()),
          judge_gpu(cuda_facts(), gpu_driver())};
}

}  // namespace longsight::launch::doctor
