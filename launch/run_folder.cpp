#include "launch/run_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "launch/output.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Where a folder is or will be: links are followed, also those that lead to nothing yet.
std::string follow_links(std::string path) {
  constexpr int kMostLinks = 40;
  std::error_code error;
  for (int i = 0; fs::is_symlink(fs::symlink_status(path, error)); ++i) {
    require(i < kMostLinks, ExitCode::cannot_write, "cannot write {}: {}", path, std::strerror(ELOOP));
    const fs::path target = fs::read_symlink(path, error);
    require(!error, ExitCode::cannot_write, "cannot write {}: {}", path, error.message());
    path = without_trailing_slashes((fs::path(path).parent_path() / target).string());
  }
  return path;
}

// Without a lock that was left behind, and what a file system has of its own.
bool is_empty_folder(const std::string& path) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename().string();
    if (name != "lock" && name != "lost+found") return false;
  }
  return !error;
}

// What train writes into a run folder before its first step; run.json first.
constexpr std::array kFirstFiles{"run.json", "config.yaml", "plan.txt", "plan.json"};

constexpr const char* kRemoved = ".removed";

void require_own(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  require(fs::is_directory(path, error), ExitCode::cannot_write, "cannot write {}: it is a file", path);
  require(is_empty_folder(path) || is_run_folder(path), ExitCode::cannot_write,
          "cannot write {}: the folder holds something else than a run, which is not touched: choose another "
          "output.dir, or empty it",
          path);
}

// What has the name already is replaced: a save that is written once more after a failure, the best before.
void fill(const std::string& path, const FillFolder& write) {
  io::ensure_folder(fs::path(path).parent_path().string());
  io::TemporaryFolder temporary(path);
  write(temporary.path());
  temporary.commit(io::TemporaryFolder::Existing::replace);
}

}  // namespace

bool is_run_folder(const std::string& path) {
  const auto has = [&path](const char* name) {
    std::error_code error;
    return fs::exists(path + "/" + name, error);
  };
  // Runs of older versions have no run.json.
  return has("config.yaml") && has("plan.json") && (has("run.json") || has("metrics.jsonl"));
}

void RunFolder::require_usable(const std::string& path) {
  const std::string real = follow_links(without_trailing_slashes(path));
  require_own(real);
  RunLock::require_free(real);
  require_writable_folder(real);
}

RunFolder::RunFolder(std::string path)
    : path_(without_trailing_slashes(std::move(path))), real_(follow_links(path_)) {
  std::error_code error;
  require_own(real_);
  made_ = !fs::exists(real_, error);
  if (!made_ && !is_empty_folder(real_)) {
    RunLock old(real_);
    i64 n = 1;
    while (fs::exists(fs::symlink_status(fmt::format("{}.{}", real_, n), error))) ++n;
    aside_ = fmt::format("{}.{}", real_, n);
    fs::rename(real_, aside_, error);
    require(!error, ExitCode::cannot_write,
            "{} holds a run already and cannot be moved to {}: {}: choose another output.dir", path_, aside_,
            error.message());
    old.moved_to(aside_);
    log_info("{} held a run already: moved to {}", path_, aside_);
  }
  try {
    io::ensure_folder(real_);
    lock_ = std::make_unique<RunLock>(real_);
  } catch (...) {
    discard();
    throw;
  }
}

RunFolder::~RunFolder() {
  for (const Lines* file : {&metrics_, &eval_}) {
    if (file->descriptor >= 0) ::close(file->descriptor);
  }
}

void RunFolder::discard() noexcept {
  std::error_code ignored;
  if (lock_) {  // else it may be another run's by now
    for (const char* name : kFirstFiles) fs::remove(real_ + "/" + name, ignored);
    lock_.reset();
  }
  if (made_ || !aside_.empty()) fs::remove(real_, ignored);  // unless there is something in it
  if (!aside_.empty()) fs::rename(aside_, real_, ignored);
}

void RunFolder::write_text(const std::string& name, const std::string& text) const {
  io::write_file(real_ + "/" + name, text);
}

void RunFolder::append(Lines& file, const nlohmann::ordered_json& line) {
  const std::string path = path_ + "/" + file.name;
  if (file.descriptor < 0) {
    file.descriptor =
        ::open((real_ + "/" + file.name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    require(file.descriptor >= 0, ExitCode::cannot_write, "cannot write {}: {}", path, std::strerror(errno));
  }
  const std::string text = line.dump() + "\n";
  const off_t whole = ::lseek(file.descriptor, 0, SEEK_END);
  try {
    io::write_all(file.descriptor, text.data(), static_cast<i64>(text.size()), path);
  } catch (...) {
    // Not half a line, which the next one would make unreadable.
    if (whole >= 0 && ::ftruncate(file.descriptor, whole) != 0) ::close(std::exchange(file.descriptor, -1));
    throw;
  }
}

void RunFolder::append_metrics(const nlohmann::ordered_json& line) {
  append(metrics_, line);
}
void RunFolder::append_eval(const nlohmann::ordered_json& line) {
  append(eval_, line);
}

void RunFolder::save(i64 step, const FillFolder& write) const {
  fill(real_ + fmt::format("/saves/step-{:08}", step), write);
}

void RunFolder::remove_old_saves(i64 keep) const {
  const fs::path saves = fs::path(real_) / "saves";
  if (!fs::exists(saves)) return;
  std::vector<fs::path> all, old;
  for (const auto& entry : fs::directory_iterator(saves)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kRemoved)) old.push_back(entry.path());
    if (name.starts_with("step-") && name.find('.') == std::string::npos) all.push_back(entry.path());
  }
  std::sort(all.begin(), all.end());  // names have equal length: by step
  for (i64 i = 0; i + keep < static_cast<i64>(all.size()); ++i) {
    const fs::path& save = all[static_cast<std::size_t>(i)];
    // What is removed in part only does not look like a save.
    old.push_back(save.string() + kRemoved);
    fs::rename(save, old.back());
  }
  for (const fs::path& folder : old) fs::remove_all(folder);
}

void RunFolder::save_best(const FillFolder& write) const {
  fill(real_ + "/best", write);
}

void RunFolder::save_adapter(const FillFolder& write) const {
  fill(real_ + "/adapter", write);
}

void RunFolder::save_final(const FillFolder& write) const {
  fill(real_ + "/model", write);
}

}  // namespace longsight::launch
