#include "launch/training/run_lock.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/measure.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

constexpr int kSecondsBetweenTouches = 30;
constexpr i64 kSecondsUntilStale = 300;

// When a process began, in ticks since the machine did: tells it from a later one with its number. 0: there
// is none, or it has ended and only its parent has not looked yet.
i64 start_of(i64 pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(text.substr(name_end + 1));
  std::string field;
  rest >> field;
  if (field == "Z" || field == "X") return 0;
  for (int i = 4; i <= 22 && rest >> field; ++i) {
  }
  return std::strtoll(field.c_str(), nullptr, 10);
}

struct Owner {
  std::string host, started;
  i64 pid = 0, process_start = 0;
  std::string text() const { return fmt::format("process {} on {}, since {}", pid, host, started); }
};

// Nothing: the file says nothing (its owner died before it wrote, or it is not ours).
std::optional<Owner> read_owner(int descriptor) {
  char text[4096];
  const ssize_t bytes = ::pread(descriptor, text, sizeof(text), 0);
  const auto json = nlohmann::json::parse(text, text + std::max<ssize_t>(bytes, 0), nullptr, false);
  if (!json.is_object()) return std::nullopt;
  Owner owner;
  for (const auto& [key, into] : {std::pair("host", &owner.host), std::pair("started", &owner.started)}) {
    if (!json.contains(key) || !json[key].is_string()) return std::nullopt;
    *into = json[key].get<std::string>();
  }
  for (const auto& [key, number] :
       {std::pair("pid", &owner.pid), std::pair("process_start", &owner.process_start)}) {
    if (!json.contains(key) || !json[key].is_number_integer()) return std::nullopt;
    *number = json[key].get<i64>();
  }
  return owner;
}

// Seconds since the file was touched, by the clock of its file system.
i64 age_of(int descriptor, const std::string& path) {
  struct stat mine {};
  if (::fstat(descriptor, &mine) != 0) return 0;
  i64 now = static_cast<i64>(std::time(nullptr));
  std::string probe = path + "-XXXXXX";
  if (const int other = ::mkstemp(probe.data()); other >= 0) {
    struct stat fresh {};
    if (::fstat(other, &fresh) == 0) now = static_cast<i64>(fresh.st_mtime);
    ::close(other);
    ::unlink(probe.c_str());
  }
  return now - static_cast<i64>(mine.st_mtime);
}

// What keeps this process from taking the lock; nothing: its owner is dead. `locked`: flock said so.
std::string refusal(int descriptor, const std::string& path, bool locked) {
  const auto owner = read_owner(descriptor);
  const std::string who = owner ? owner->text() : "another process";
  const std::string remedy = "wait for it, end it, or choose another output.dir";
  if (locked) return fmt::format("{}: a run writes there ({}): {}", path, who, remedy);
  if (!owner) return {};
  if (owner->host == host_name()) {
    // Where the file system has no locks, the process itself is looked for.
    const bool lives = owner->process_start != 0 && start_of(owner->pid) == owner->process_start &&
                       owner->pid != static_cast<i64>(::getpid());
    return lives ? fmt::format("{}: a run writes there ({}): {}", path, who, remedy) : std::string();
  }
  const i64 age = age_of(descriptor, path);
  if (age > kSecondsUntilStale) return {};
  return fmt::format(
      "{}: a run writes there ({}, last sign of life {} s ago; taken over after {} s without one): {}; if it "
      "is dead, remove this file",
      path, who, age, kSecondsUntilStale, remedy);
}

bool same_file(int descriptor, const std::string& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

}  // namespace

RunLock::RunLock(const std::string& folder) : path_(folder + "/lock") {
  for (;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    require(descriptor_ >= 0, ExitCode::cannot_write, "cannot write {}: {}", path_, std::strerror(errno));
    const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    const std::string why = refusal(descriptor_, path_, locked);
    if (!why.empty()) {
      ::close(descriptor_);
      fail(ExitCode::cannot_write, "{}", why);
    }
    // Its owner may have removed it between the two calls.
    if (same_file(descriptor_, path_)) break;
    ::close(descriptor_);
  }
  if (const auto dead = read_owner(descriptor_)) log_info("{}: taken over from {}", path_, dead->text());
  try {
    const nlohmann::ordered_json owner{{"host", host_name()},
                                       {"pid", ::getpid()},
                                       {"process_start", start_of(::getpid())},
                                       {"started", utc_now()}};
    const std::string text = json_text(owner) + "\n";
    require(::ftruncate(descriptor_, 0) == 0, ExitCode::cannot_write, "cannot write {}: {}", path_,
            std::strerror(errno));
    io::write_all(descriptor_, text.data(), static_cast<i64>(text.size()), path_);
  } catch (...) {
    ::unlink(path_.c_str());
    ::close(descriptor_);
    throw;
  }
  heart_ = std::thread([this] { touch(); });
}

RunLock::~RunLock() {
  {
    const std::lock_guard guard(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  heart_.join();
  // Not the file of a later run, if this folder has been removed under it.
  if (same_file(descriptor_, path_)) ::unlink(path_.c_str());
  ::close(descriptor_);
}

void RunLock::moved_to(const std::string& folder) {
  path_ = folder + "/lock";
}

void RunLock::require_free(const std::string& folder) {
  const std::string path = folder + "/lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) return;
  require(descriptor >= 0, ExitCode::cannot_write, "{}: {}", path, std::strerror(errno));
  const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  const std::string why = refusal(descriptor, path, locked);
  ::close(descriptor);
  require(why.empty(), ExitCode::cannot_write, "{}", why);
}

bool RunLock::is_lock(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return false;
  struct stat status {};
  const bool ours = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
                    (status.st_size == 0 || read_owner(descriptor));
  ::close(descriptor);
  return ours;
}

void RunLock::touch() {
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, std::chrono::seconds(kSecondsBetweenTouches), [this] { return end_; }))
    ::futimens(descriptor_, nullptr);
}

}  // namespace longsight::launch
