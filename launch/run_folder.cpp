#include "launch/run_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/output.h"
#include "launch/watchdog/heartbeats.h"
#include "runtime/base/json.h"
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
    const bool left_over = name == "lock" && RunLock::is_lock(entry.path().string());
    if (!left_over && name != "lost+found") return false;
  }
  return !error;
}

// What train writes into a run folder before its first step; run.json first.
constexpr std::array kFirstFiles{"run.json", "config.yaml", "plan.txt", "plan.json", Heartbeats::kFile};

constexpr const char* kRemoved = ".removed";

// A run takes its folder along when it makes room for the next one, and replaces what it writes again.
void require_outside_runs(const std::string& path) {
  std::error_code error;
  fs::path folder = fs::weakly_canonical(fs::absolute(path, error), error);
  if (error) return;
  while (folder.has_relative_path()) {
    folder = folder.parent_path();
    require(!is_run_folder(folder.string()), ExitCode::cannot_write,
            "cannot write {}: it lies in {}, which is the folder of another run: choose another output.dir",
            path, folder.string());
  }
}

void require_own(const std::string& path) {
  require_outside_runs(path);
  std::error_code error;
  if (!fs::exists(path, error)) return;
  require(fs::is_directory(path, error), ExitCode::cannot_write, "cannot write {}: it is a file", path);
  require(is_empty_folder(path) || is_run_folder(path), ExitCode::cannot_write,
          "cannot write {}: the folder holds something else than a run, which is not touched: choose another "
          "output.dir, or empty it",
          path);
}

// The root of a file system, or what is mounted there from elsewhere.
bool is_mount_point(const std::string& path) {
  struct statx status {};
  return ::statx(AT_FDCWD, path.c_str(), 0, STATX_TYPE, &status) == 0 &&
         (status.stx_attributes & status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0;
}

// A run that is there already has to make room. The root of a file system has no other name that it could
// get.
void require_room(const std::string& path) {
  if (!is_run_folder(path)) return;
  require(
      !is_mount_point(path), ExitCode::cannot_write,
      "cannot write {}: it holds a run already and, as a mount point, cannot be renamed: move the files of "
      "that run into a folder in there, and give each run one of its own: output.dir={}/NAME",
      path, path);
  const std::string parent = fs::absolute(path).parent_path().string();
  require(::access(parent.c_str(), W_OK | X_OK) == 0, ExitCode::cannot_write,
          "cannot write {}: it holds a run already, which cannot be moved to {}.1: {}: choose another "
          "output.dir",
          path, path, std::strerror(errno));
}

// DIR.1, DIR.2, ...: the first that is not there.
std::string free_name(const std::string& path) {
  std::error_code error;
  for (i64 n = 1;; ++n) {
    std::string name = fmt::format("{}.{}", path, n);
    if (!fs::exists(fs::symlink_status(name, error))) return name;
  }
}

// Of the folder `path`, for as long as it is needed. -1: it cannot be opened.
int open_folder(const std::string& path) {
  return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool is_folder(int descriptor, const std::string& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

// What has the name already is replaced: a save that is written once more after a failure, the best before.
void fill(const std::string& path, const FillFolder& write) {
  io::ensure_folder(fs::path(path).parent_path().string());
  io::TemporaryFolder temporary(path);
  write(temporary.path());
  temporary.commit(io::TemporaryFolder::Existing::replace);
}

// Of a file of so many bytes.
std::vector<Json> last_lines(int descriptor, i64 bytes, std::size_t most) {
  constexpr i64 kMostBytes = i64{4} << 20;
  std::string text(static_cast<std::size_t>(std::min(bytes, kMostBytes)), '\0');
  const ssize_t got = ::pread(descriptor, text.data(), text.size(), bytes - std::ssize(text));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  std::vector<Json> lines;
  for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                            text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (line.is_object()) lines.push_back(std::move(line));
  }
  if (lines.size() > most) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(most));
  return lines;
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

i64 last_step_of_run_folder(const std::string& path) {
  const int descriptor = ::open((path + "/metrics.jsonl").c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  struct stat status {};
  const std::vector<Json> lines =
      ::fstat(descriptor, &status) == 0 ? last_lines(descriptor, status.st_size, 1) : std::vector<Json>{};
  ::close(descriptor);
  const auto step = lines.empty() ? Json() : lines.back().value("step", Json());
  return step.is_number_integer() ? step.get<i64>() : 0;
}

Json facts_of_run_folder(const std::string& path) {
  try {
    return read_json_file(path + "/run.json");
  } catch (const Error&) {
    return {};
  }
}

void RunFolder::require_usable(const std::string& path, Begin begin) {
  const std::string real = follow_links(without_trailing_slashes(path));
  RunLock::require_free(real);  // first: the folder of a run that begins just now looks like any other
  require_own(real);
  if (begin == Begin::anew) require_room(real);
  require_writable_folder(real);
}

RunFolder::RunFolder(std::string path, Begin begin)
    : path_(without_trailing_slashes(std::move(path))), real_(follow_links(path_)), begin_(begin) {
  std::error_code error;
  RunLock::require_free(real_);
  require_own(real_);
  made_ = !fs::exists(real_, error);
  if (begin == Begin::anew && !made_ && !is_empty_folder(real_)) {
    RunLock old(real_);
    aside_ = free_name(real_);
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
    folder_ = open_folder(real_);
  } catch (...) {
    discard();
    throw;
  }
}

RunFolder::~RunFolder() {
  for (const Lines* file : {&metrics_, &eval_}) {
    if (file->descriptor >= 0) ::close(file->descriptor);
  }
  if (folder_ >= 0) ::close(folder_);
}

void RunFolder::follow() {
  if (folder_ < 0 || is_folder(folder_, real_)) return;
  std::error_code error;
  const std::string now = fs::read_symlink(fmt::format("/proc/self/fd/{}", folder_), error).string();
  if (error) return;
  if (is_folder(folder_, now)) {
    if (now == real_) return;
    log_warn("{} has been moved to {}: the run goes on there", path_, now);
    path_ = real_ = now;
    lock_->moved_to(real_);
    return;
  }
  // Removed. What is in its place is another's.
  const std::string old = path_;
  if (fs::exists(fs::symlink_status(real_, error))) {
    path_ = real_ = free_name(real_);
    displaced_ = true;
  }
  log_warn("{} has been removed: the run goes on in {}", old, path_);
  io::ensure_folder(real_);
  lock_ = std::make_unique<RunLock>(real_);
  ::close(std::exchange(folder_, open_folder(real_)));
  for (Lines* file : {&metrics_, &eval_}) {
    if (file->descriptor >= 0) ::close(std::exchange(file->descriptor, -1));
  }
}

void RunFolder::discard() noexcept {
  if (begin_ == Begin::goes_on) return lock_.reset();
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

void RunFolder::open(Lines& file) {
  follow();
  file.descriptor = ::open((real_ + "/" + file.name).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  require(file.descriptor >= 0, ExitCode::cannot_write, "cannot write {}/{}: {}", path_, file.name,
          std::strerror(errno));
  file.bytes = 0;
  file.hash = {};
  for (std::string piece(1 << 16, '\0');;) {
    const ssize_t got = ::pread(file.descriptor, piece.data(), piece.size(), file.bytes);
    if (got <= 0) break;
    file.hash.add({piece.data(), static_cast<std::size_t>(got)});
    file.bytes += got;
  }
}

void RunFolder::append(Lines& file, const nlohmann::ordered_json& line) {
  if (file.descriptor < 0) open(file);
  const std::string path = path_ + "/" + file.name;
  const std::string text = json_text(line) + "\n";
  const off_t whole = ::lseek(file.descriptor, 0, SEEK_END);
  try {
    io::write_all(file.descriptor, text.data(), static_cast<i64>(text.size()), path);
    file.hash.add(text);
    file.bytes += static_cast<i64>(text.size());
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

std::vector<Json> RunFolder::last_metrics(std::size_t most) {
  if (metrics_.descriptor < 0) open(metrics_);
  return last_lines(metrics_.descriptor, metrics_.bytes, most);
}

std::map<std::string, parallel::LogMark> RunFolder::mark_logs() {
  std::map<std::string, parallel::LogMark> marks;
  for (Lines* file : {&metrics_, &eval_}) {
    if (file->descriptor < 0) open(*file);
    require(::fdatasync(file->descriptor) == 0, ExitCode::cannot_write, "cannot write {}/{}: {}", path_,
            file->name, std::strerror(errno));
    marks[file->name] = {file->bytes, file->hash.text()};
  }
  return marks;
}

void RunFolder::cut_back(Lines& file, const parallel::LogMark& mark, i64 first_step) {
  open(file);
  const std::string path = path_ + "/" + file.name;
  std::string text(static_cast<std::size_t>(file.bytes), '\0');
  require(::pread(file.descriptor, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
          ExitCode::cannot_write, "cannot read {}: {}", path, std::strerror(errno));
  i64 whole = mark.bytes;
  if (mark.bytes > file.bytes ||
      wide_hash(std::string_view(text).substr(0, static_cast<std::size_t>(mark.bytes))) != mark.hash) {
    log_warn("{} is not as it was when the checkpoint was taken: lines from step {} on are removed", path,
             first_step);
    whole = 0;
    for (std::size_t end = 0;
         (end = text.find('\n', static_cast<std::size_t>(whole))) != std::string::npos;) {
      const Json line =
          Json::parse(text.begin() + whole, text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
      const auto step = line.is_object() ? line.find("step") : line.end();
      if (step == line.end() || !step->is_number_integer() || step->get<i64>() >= first_step) break;
      whole = static_cast<i64>(end) + 1;
    }
  }
  require(::ftruncate(file.descriptor, whole) == 0, ExitCode::cannot_write, "cannot write {}: {}", path,
          std::strerror(errno));
  ::close(std::exchange(file.descriptor, -1));
}

void RunFolder::cut_back(const std::map<std::string, parallel::LogMark>& marks, i64 step) {
  for (const auto& [file, first] : {std::pair(&metrics_, step + 1), std::pair(&eval_, step)}) {
    const auto mark = marks.find(file->name);
    cut_back(*file, mark == marks.end() ? parallel::LogMark{} : mark->second, first);
  }
}

std::string RunFolder::checkpoints() {
  follow();
  return real_ + "/checkpoints";
}

void RunFolder::save(i64 step, const FillFolder& write) {
  follow();
  fill(real_ + fmt::format("/saves/step-{:08}", step), write);
}

void RunFolder::remove_old_saves(i64 keep) {
  follow();
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

void RunFolder::save_best(const FillFolder& write) {
  follow();
  fill(real_ + "/best", write);
}

void RunFolder::save_adapter(const FillFolder& write) {
  follow();
  fill(real_ + "/adapter", write);
}

void RunFolder::save_final(const FillFolder& write) {
  follow();
  fill(real_ + "/model", write);
}

}  // namespace longsight::launch
