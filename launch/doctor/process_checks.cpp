// What the system lets this process do.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/resource.h>
#include <unistd.h>

#include "launch/doctor/checks.h"
#include "launch/doctor/sizes.h"
#include "launch/planning/units.h"

namespace longsight::launch::doctor {
namespace {

std::optional<i64> soft_limit(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<i64>(limit.rlim_cur);
}

bool is_set(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

Findings judge_limits(const Limits& l) {
  constexpr i64 kFewFiles = 256, kFewProcesses = 256;
  Findings findings;
  const auto wrong = [&](std::string text, std::string remedy) {
    findings.push_back({Verdict::wrong, "limits", std::move(text), std::move(remedy)});
  };
  const std::string forever =
      " in the shell, container or job script that starts the ranks (for good: /etc/security/limits.conf)";
  if (l.address_space && *l.address_space < 2 * l.memory)
    wrong(fmt::format("addresses are limited to {} (ulimit -v)", planning::bytes_text(*l.address_space)),
          "a run reserves more addresses than it uses memory: ulimit -v unlimited" + forever);
  if (l.data && *l.data < l.memory)
    wrong(fmt::format("memory of data is limited to {} (ulimit -d)", planning::bytes_text(*l.data)),
          "ulimit -d unlimited" + forever);
  if (l.open_files && *l.open_files < kFewFiles)
    wrong(fmt::format("{} files may be open (ulimit -n)", *l.open_files),
          "shards, sockets of other ranks and pictures need more: ulimit -n 4096" + forever);
  if (l.file_size)
    wrong(fmt::format("files may not be larger than {} (ulimit -f)", planning::bytes_text(*l.file_size)),
          "checkpoints are, and fail to be written: ulimit -f unlimited" + forever);
  if (l.processes && *l.processes < kFewProcesses)
    wrong(fmt::format("this user may have {} processes and threads (ulimit -u)", *l.processes),
          "ranks have several threads each: ulimit -u 4096" + forever);
  if (l.infiniband && l.locked && *l.locked < kGiB)
    wrong(fmt::format("{} may be locked in memory (ulimit -l), and there is InfiniBand",
                      planning::bytes_text(*l.locked)),
          "it cannot register its buffers and is not used: ulimit -l unlimited" + forever);
  if (findings.empty()) {
    findings.push_back({.name = "limits",
                        .text = l.open_files
                                    ? fmt::format("{} open files; nothing else is limited", *l.open_files)
                                    : "nothing is limited"});
  }
  return findings;
}

Finding judge_root(bool root, bool allowed, bool launched) {
  if (!root) return {.name = "user", .text = "not root"};
  if (allowed || launched) return {.name = "user", .text = "root, which mpirun was allowed to be"};
  return {.verdict = Verdict::note,
          .name = "user",
          .text = "root: mpirun of Open MPI refuses to start",
          .remedy =
              "in containers: export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
              "(launch/run.sh does); elsewhere be another user"};
}

Findings check_process(bool launched) {
  namespace fs = std::filesystem;
  std::error_code none;
  const fs::directory_iterator devices("/sys/class/infiniband", none);
  Findings findings = judge_limits({.address_space = soft_limit(RLIMIT_AS),
                                    .data = soft_limit(RLIMIT_DATA),
                                    .locked = soft_limit(RLIMIT_MEMLOCK),
                                    .open_files = soft_limit(RLIMIT_NOFILE),
                                    .file_size = soft_limit(RLIMIT_FSIZE),
                                    .processes = soft_limit(RLIMIT_NPROC),
                                    .memory = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE),
                                    .infiniband = !none && devices != fs::directory_iterator()});
  findings.push_back(judge_root(::geteuid() == 0,
                                is_set("OMPI_ALLOW_RUN_AS_ROOT") && is_set("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"),
                                launched));
  return findings;
}

}  // namespace longsight::launch::doctor
