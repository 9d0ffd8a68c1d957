#include "launch/watchdog/watchdog.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include <fcntl.h>
#include <unistd.h>

#include "launch/measure.h"
#include "launch/within.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;
using parallel::Phase;

constexpr const char* kStarting = "watchdog";
constexpr double kShortestPeriod = 0.2, kLongestPeriod = 15;  // s between heartbeats
constexpr double kPeriodsInFloor = 25;
// A rank whose heart did not beat in this part of the deadline has stopped; on a busy machine a thread may
// miss a beat or two.
constexpr double kSilentPart = 0.2;
// What a process does that is not idle, in the time of a deadline.
constexpr double kWorkPart = 0.01;  // of a processor
constexpr i64 kWorkBytes = i64{1} << 20;
constexpr double kSecondsForOthers = 1, kMostSecondsToReport = 2.5;

double clock_seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// How long these take is known from the steps before.
bool is_learnt(Phase phase) {
  return phase == Phase::compute || phase == Phase::gradient_sum || phase == Phase::update;
}

bool comes_true(const std::function<bool()>& condition, double seconds) {
  for (const double end = steady_seconds() + seconds; steady_seconds() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return condition();
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// The first that is free, so that the records of an earlier hang stay.
std::string free_hang_name(const std::string& run_folder) {
  for (i64 n = 1;; ++n) {
    std::string name = fmt::format("hang-{}", n);
    if (!exists(run_folder + "/" + name)) return name;
  }
}

std::string record_file(const std::string& folder, std::size_t rank) {
  return fmt::format("{}/rank-{}.jsonl", folder, rank);
}

}  // namespace

std::unique_ptr<Watchdog> Watchdog::start(std::unique_ptr<Heartbeats> made, const std::string& run_folder,
                                          double floor, parallel::ProcessGroup& world, Stream stream) {
  check(world.record() != nullptr, "the group {} keeps no record of what its ranks do", world.label());
  std::string folder, hang;
  if (world.rank() == 0) {
    folder = fs::absolute(run_folder).string();
    hang = free_hang_name(folder);
  }
  folder = world.all_gather(folder, stream, kStarting).front();
  hang = world.all_gather(hang, stream, kStarting).front();
  std::unique_ptr<Watchdog> dog;
  try {
    if (!made)
      made = std::make_unique<Heartbeats>(folder + "/" + Heartbeats::kFile, world.rank(), world.size());
    dog.reset(new Watchdog(std::move(made), folder, hang, floor, world));
  } catch (const Error& error) {
    log_warn(
        "hangs will not be found: {}: name an output.dir that all ranks see, or train.watchdog.enabled: "
        "false",
        error.what());
  }
  if (!on_all_ranks(dog, world, stream)) return nullptr;
  dog->thread_ = std::thread([watching = dog.get()] { watching->run(); });
  return dog;
}

std::unique_ptr<Watchdog> Watchdog::start_before_run(const std::string& folder, double floor,
                                                     parallel::ProcessGroup& world, Stream stream) {
  check(world.record() != nullptr, "the group {} keeps no record of what its ranks do", world.label());
  const std::string own =
      world.rank() == 0
          ? fmt::format("{}/.longsight-{:08x}", fs::absolute(folder).string(), std::random_device()())
          : "";
  std::unique_ptr<Heartbeats> beats;
  const auto try_to = [&](auto&& open) {
    try {
      beats = open();
    } catch (const Error&) {  // start() will say it
    }
  };
  if (world.rank() == 0) try_to([&] { return Heartbeats::make(own, world.size()); });
  const std::string file = world.all_gather(own, stream, kStarting).front();
  if (world.rank() > 0)
    try_to([&] { return std::make_unique<Heartbeats>(file, world.rank(), world.size()); });
  std::unique_ptr<Watchdog> dog;
  if (beats) dog.reset(new Watchdog(std::move(beats), "", "", floor, world));
  const bool all = on_all_ranks(dog, world, stream);
  std::error_code ignored;
  if (world.rank() == 0) fs::remove(file, ignored);  // all have it open
  if (!all) return nullptr;
  dog->thread_ = std::thread([watching = dog.get()] { watching->run(); });
  return dog;
}

bool Watchdog::on_all_ranks(const std::unique_ptr<Watchdog>& dog, parallel::ProcessGroup& world,
                            Stream stream) {
  return world.all_reduce_max(i64{dog == nullptr}, stream, kStarting) == 0;
}

Watchdog::Watchdog(std::unique_ptr<Heartbeats> heartbeats, const std::string& run_folder,
                   const std::string& hang, double floor, parallel::ProcessGroup& world)
    : record_(*world.record()),
      rank_(world.rank()),
      shown_(run_folder),
      hang_(hang),
      period_(std::clamp(floor / kPeriodsInFloor, kShortestPeriod, kLongestPeriod)),
      heartbeats_(std::move(heartbeats)),
      got_on_(steady_seconds()),
      looked_(got_on_),
      deadline_(floor) {
  if (run_folder.empty()) return;
  descriptor_ = ::open(run_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require(descriptor_ >= 0, ExitCode::cannot_write, "{}: {}", run_folder, std::strerror(errno));
  folder_ = fmt::format("/proc/self/fd/{}", descriptor_);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard guard(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (descriptor_ < 0) return;
  std::error_code ignored;
  if (rank_ == 0) fs::remove(folder_ + "/" + Heartbeats::kFile, ignored);
  ::close(descriptor_);
}

void Watchdog::step_done(i64 step, double seconds) {
  record_.step_done(step);
  const std::lock_guard guard(mutex_);
  deadline_.saw_step(seconds);
}

void Watchdog::run() {
  work_ = work_so_far();
  std::unique_lock lock(mutex_);
  do {
    const double deadline = deadline_.seconds();
    lock.unlock();
    look(deadline);
    lock.lock();
  } while (!ended_.wait_for(lock, std::chrono::duration<double>(period_), [this] { return end_; }));
  heartbeats_->write(beat(steady_seconds(), true));
}

Heartbeat Watchdog::beat(double now, bool ended) {
  return {.tick = ++tick_,
          .ended = ended,
          .quiet = now - got_on_,
          .host = host_name(),
          .process = ::getpid(),
          .standing = record_.standing()};
}

void Watchdog::look(double deadline) {
  const double now = steady_seconds();
  const parallel::Standing at = record_.standing();
  // Where this process was stopped itself, or its machine asleep, the time was not that of the run.
  const bool was_stopped = now - looked_ > deadline / 2;
  if (was_stopped || works(at, deadline)) got_on_ = now;
  got_on_ = std::max(got_on_, at.since);
  looked_ = now;
  heartbeats_->write(beat(now, false));

  const double quiet = now - got_on_, silence = std::max(kSilentPart * deadline, 2 * period_);
  if (quiet < deadline - silence || now < not_before_) return before_.clear();
  if (before_.empty()) {
    before_ = heartbeats_->read();
    before_at_ = now;
  }
  if (quiet < deadline || now - before_at_ < silence - 2 * period_) return;

  std::vector<LastSeen> ranks;
  double least_quiet = quiet;
  for (Heartbeat& told : heartbeats_->read()) {
    const std::size_t rank = ranks.size();
    const bool own = static_cast<int>(rank) == rank_;
    const bool heard = own || told.tick != before_[rank].tick;
    if (heard && !own && !told.ended) least_quiet = std::min(least_quiet, told.quiet);
    ranks.push_back({std::move(told), heard});
  }
  before_.clear();
  if (least_quiet >= deadline - silence) end_job(ranks);
  // Some rank gets on, and this one waits for it: not before that one could have been quiet as long.
  not_before_ = now + deadline - silence - least_quiet;
}

bool Watchdog::works(const parallel::Standing& at, double deadline) {
  const Work now = work_so_far();
  const bool enough =
      now.processor - work_.processor >= kWorkPart * deadline || now.bytes - work_.bytes >= kWorkBytes;
  const bool counts = !is_learnt(at.phase) && !at.call.under_way();
  if (enough || !counts) work_ = now;
  return enough && counts;
}

Watchdog::Work Watchdog::work_so_far() {
  Work work{.processor = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - clock_seconds(CLOCK_THREAD_CPUTIME_ID)};
  std::ifstream file("/proc/self/io");
  std::string key;
  for (i64 number = 0; file >> key >> number;) {
    if (key == "rchar:" || key == "wchar:") work.bytes += number;
  }
  return work;
}

void Watchdog::end_job(const std::vector<LastSeen>& ranks) {
  // A file system or a pipe that lets the report wait must not keep the job.
  try {
    within(kMostSecondsToReport, [&] {
      try {
        shown_.empty() ? report_without_run(ranks) : report(ranks);
      } catch (const std::exception& error) {
        log_error("the job hangs: {}; its records are not written: {}", who_is_behind(ranks), error.what());
      }
      return true;
    });
  } catch (const std::exception& error) {
    log_error("the job hangs, and this rank cannot say where: {}", error.what());
  }
  std::_Exit(static_cast<int>(ExitCode::hang));
}

namespace {

// Those that can say something.
bool writes(const LastSeen& rank) {
  return rank.heard && !rank.beat.ended;
}

}  // namespace

void Watchdog::report_without_run(const std::vector<LastSeen>& ranks) const {
  const auto speaker = std::find_if(ranks.begin(), ranks.end(), writes);
  // The launcher ends all ranks with the first one that ends.
  if (speaker != ranks.begin() + rank_)
    return std::this_thread::sleep_for(std::chrono::duration<double>(kSecondsForOthers));
  log_error("the job hangs before its first step: {}; the same command starts it again",
            who_is_behind(ranks));
}

void Watchdog::report(const std::vector<LastSeen>& ranks) const {
  const auto me = static_cast<std::size_t>(rank_);
  const std::string folder = folder_ + "/" + hang_, file = folder + "/report.txt";
  io::ensure_folder(folder);
  io::write_file(record_file(folder, me), record_text(ranks[me].beat, record_.calls()));
  // The launcher ends all ranks with the first one that ends.
  comes_true(
      [&] {
        for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
          if (writes(ranks[rank]) && !exists(record_file(folder, rank))) return false;
        }
        return true;
      },
      kSecondsForOthers);
  const bool speaks = std::find_if(ranks.begin(), ranks.end(), writes) == ranks.begin() + rank_;
  if (!speaks && comes_true([&] { return exists(file); }, kSecondsForOthers)) return;
  log_error("the job hangs: {}; the records of its ranks are in {}/{}; the same command starts it again",
            who_is_behind(ranks), shown_, hang_);
  io::write_file(file, hang_report(ranks));
}

}  // namespace longsight::launch
