// The file system that a run writes to.
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <sys/statfs.h>
#include <unistd.h>

#include "launch/doctor/checks.h"
#include "launch/doctor/sizes.h"
#include "launch/measure.h"
#include "launch/output.h"
#include "launch/planning/units.h"
#include "launch/training/run_lock.h"
#include "launch/within.h"
#include "runtime/base/clock.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch::doctor {
namespace {

namespace fs = std::filesystem;

constexpr double kLongestWait = 60;  // for a file server, seconds
constexpr const char* kName = "folder";

std::string type_of(const std::string& folder) {
  struct statfs info {};
  if (::statfs(folder.c_str(), &info) != 0) return "of an unknown type";
  struct Known {
    unsigned long magic;
    const char* name;
  };
  // <linux/magic.h>; those of Lustre, BeeGFS and GPFS from their own sources.
  for (const Known& k : {Known{0xEF53, "ext4"}, Known{0x58465342, "xfs"}, Known{0x9123683E, "btrfs"},
                         Known{0x01021994, "tmpfs"}, Known{0x794C7630, "overlayfs"}, Known{0x6969, "nfs"},
                         Known{0x0BD00BD0, "lustre"}, Known{0x19830326, "beegfs"}, Known{0x47504653, "gpfs"},
                         Known{0x65735546, "fuse"}, Known{0x01021997, "9p"}, Known{0x2FC12FC1, "zfs"},
                         Known{0xFF534D42, "cifs"}}) {
    if (static_cast<unsigned long>(info.f_type) == k.magic) return k.name;
  }
  return fmt::format("of type 0x{:X}", static_cast<unsigned long>(info.f_type));
}

Finding wrong(std::string text, std::string remedy) {
  return {Verdict::wrong, kName, std::move(text), std::move(remedy)};
}

// What a run does with its folder, in `probe`, which is there and empty.
Findings try_folder(const std::string& probe, const std::string& folder) {
  constexpr i64 kSpeedBytes = 64 * kMiB, kLeastFree = kGiB;
  constexpr double kSlow = 20e6;
  Findings findings;
  const std::string type = type_of(probe);
  try {
    // Files that are synced and renamed over others, and a folder that is renamed whole: checkpoints.
    io::write_file(probe + "/latest", "1");
    io::write_file(probe + "/latest", "2");
    io::TemporaryFolder step(probe + "/step");
    io::write_file(step.path() + "/manifest", "x");
    step.commit();
    const double start = steady_seconds();
    io::AtomicFile large(probe + "/large");
    const std::string piece(static_cast<std::size_t>(kMiB), 'x');
    for (i64 done = 0; done < kSpeedBytes; done += kMiB) large.write(piece);
    large.commit();
    const double speed = static_cast<double>(kSpeedBytes) / (steady_seconds() - start);
    Finding works{.name = kName,
                  .text = fmt::format("{}, {}: files are written at {:.0f} MB/s, synced and renamed", folder,
                                      type, speed / 1e6)};
    if (speed < kSlow) {
      works.verdict = Verdict::note;
      works.remedy = "checkpoints take long there: a local disk, or output.checkpoint_minutes with more";
    }
    findings.push_back(works);
  } catch (const Error& error) {
    findings.push_back(wrong(fmt::format("{}, {}: {}", folder, type, error.what()),
                             "runs fail there: choose another output.dir, or make room in this one"));
    return findings;
  }
  if (const std::optional<i64> free = free_bytes(probe); free && *free < kLeastFree)
    findings.push_back(
        wrong(fmt::format("{}: {} are free", folder, planning::bytes_text(*free)),
              "a checkpoint takes 12 bytes a trained parameter, a model 4 a parameter: make room"));
  try {
    const RunLock lock(probe);
    RunLock::require_free(probe);
    findings.push_back(
        {Verdict::note, kName, fmt::format("{}, {}: it has no locks (flock)", folder, type),
         "do not start two runs in one folder from different nodes: the second is noticed late"});
  } catch (const Error&) {  // as it should be: the lock is held
  }
  return findings;
}

}  // namespace

Findings check_folder(const std::string& folder, parallel::ProcessGroup& world, Stream stream) {
  std::string probe;
  Findings findings;
  if (world.rank() == 0) {
    probe = existing_folder(folder) + "/.longsight-doctor-XXXXXX";
    if (std::error_code ignored; fs::exists(folder, ignored) && !fs::is_directory(folder, ignored)) {
      findings.push_back(wrong(folder + " is a file", "choose another output.dir"));
      probe.clear();
    } else if (::mkdtemp(probe.data()) == nullptr) {
      findings.push_back(wrong(fmt::format("cannot write {}: {}", folder, std::strerror(errno)),
                               "choose another output.dir, or let this user write there"));
      probe.clear();
    } else if (const auto tried =
                   within(kLongestWait, [probe, folder] { return try_folder(probe, folder); })) {
      findings = *tried;
    } else {
      findings.push_back(wrong(fmt::format("{}: no answer in {:.0f} s", folder, kLongestWait),
                               "its file server is down or overloaded: choose another output.dir"));
      probe.clear();
    }
  }
  findings = of_leader(findings, world, stream);
  probe = world.all_gather(probe, stream, "probe").front();
  if (probe.empty()) return findings;
  // Every rank writes its share of a checkpoint there.
  if (world.rank() != 0) {
    const auto problem = within(kLongestWait, [probe, rank = world.rank()]() -> std::string {
      if (!fs::exists(probe + "/latest")) return "this rank does not see what rank 0 writes";
      try {
        io::write_file(fmt::format("{}/rank-{}", probe, rank), "x");
      } catch (const Error& error) {
        return error.what();
      }
      return {};
    });
    if (!problem || !problem->empty())
      findings.push_back(
          wrong(fmt::format("{} on {}: {}", folder, host_name(), problem.value_or("no answer")),
                "output.dir must be a folder that all ranks see and may write"));
  }
  world.barrier(stream, "probe");
  if (world.rank() == 0) {
    std::error_code ignored;
    fs::remove_all(probe, ignored);
  }
  return findings;
}

}  // namespace longsight::launch::doctor
