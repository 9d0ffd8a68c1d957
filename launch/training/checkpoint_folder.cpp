#include "launch/training/checkpoint_folder.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "parallel/checkpoint/manifest.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStep = "step-";
constexpr const char* kRemovedCheckpoint = ".removed";
constexpr const char* kLatest = "latest";

// -1: not the name of a checkpoint.
i64 step_of(const std::string& name) {
  if (!name.starts_with(kStep)) return -1;
  i64 step = -1;
  const char* const end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + kStep.size(), end, step);
  return error == std::errc() && at == end && name == checkpoint_name(step) ? step : -1;
}

void rename_checkpoint(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  require(!error, ExitCode::cannot_write, "cannot rename {} to {}: {}", from, to, error.message());
}

}  // namespace

std::string checkpoint_name(i64 step) {
  return fmt::format("{}{:08}", kStep, step);
}

bool is_checkpoint(const std::string& path) {
  std::error_code error;
  return fs::exists(path + "/" + parallel::kManifestName, error);
}

std::vector<CheckpointPlace> checkpoints_in(const std::string& folder) {
  std::vector<CheckpointPlace> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const i64 step = step_of(entry.path().filename().string());
    if (step >= 0) found.push_back({step, entry.path().string()});
  }
  std::sort(found.begin(), found.end(),
            [](const CheckpointPlace& a, const CheckpointPlace& b) { return a.step > b.step; });
  return found;
}

void remove_unfinished_checkpoints(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> unfinished;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(std::string(kLatest) + ".tmp-") ||
        (name.starts_with(kStep) &&
         (name.find(".tmp-") != std::string::npos || name.ends_with(kRemovedCheckpoint))))
      unfinished.push_back(entry.path());
  }
  for (const fs::path& path : unfinished) fs::remove_all(path, error);
}

void remove_old_checkpoints(const std::string& folder, i64 keep, i64 keep_every,
                            const std::set<i64>& not_counted) {
  i64 kept = 0;
  for (const auto& [step, path] : checkpoints_in(folder)) {
    if (not_counted.contains(step) || kept++ < keep || (keep_every > 0 && step % keep_every == 0)) continue;
    // What is removed in part only does not look like a checkpoint.
    rename_checkpoint(path, path + kRemovedCheckpoint);
    std::error_code error;
    fs::remove_all(path + kRemovedCheckpoint, error);
    require(!error, ExitCode::cannot_write, "cannot remove {}: {}", path, error.message());
  }
}

void set_aside_checkpoints_behind(const std::string& folder, i64 step) {
  for (const auto& [later, path] : checkpoints_in(folder)) {
    if (later <= step) return;
    std::error_code error;
    std::string aside;
    for (i64 n = 1; aside.empty() || fs::exists(fs::symlink_status(aside, error)); ++n)
      aside = fmt::format("{}.aside-{}", path, n);
    rename_checkpoint(path, aside);
    log_info("{} lies behind step {}: renamed to {}", path, step, fs::path(aside).filename().string());
  }
}

void point_to_latest_checkpoint(const std::string& folder, i64 step) {
  io::write_file(folder + "/" + kLatest, checkpoint_name(step) + "\n");
}

}  // namespace longsight::launch
