#include "parallel/groups/waiter.h"

#include <algorithm>
#include <ctime>

namespace longsight::parallel {
namespace {

constexpr i64 kBusy = 20'000;          // ns of polls without sleep
constexpr i64 kShortest = 2'000;       // ns asleep
constexpr i64 kLongest = 1'000'000;    // ns asleep
constexpr i64 kPart = 8;               // of what was waited, asleep
constexpr i64 kIdlePoll = 8'000;       // ns of processor time: a poll that takes more has moved data
constexpr i64 kIdlePollMessage = 100;  // and so many more for each message that it looks at

i64 nanoseconds(clockid_t clock) {
  timespec time{};
  check(clock_gettime(clock, &time) == 0, "clock_gettime");
  return i64{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void wait_until(const std::function<bool()>& arrived, std::size_t messages) {
  if (arrived()) return;
  const i64 idle_poll = kIdlePoll + kIdlePollMessage * static_cast<i64>(messages);
  i64 since = nanoseconds(CLOCK_MONOTONIC);
  for (;;) {
    const i64 waited = nanoseconds(CLOCK_MONOTONIC) - since;
    if (waited < kBusy) {
      if (arrived()) return;
      continue;
    }
    // Interrupted by a signal it is shorter, which does no harm.
    const timespec rest{.tv_sec = 0, .tv_nsec = std::clamp(waited / kPart, kShortest, kLongest)};
    nanosleep(&rest, nullptr);
    const i64 used = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    if (arrived()) return;
    if (nanoseconds(CLOCK_THREAD_CPUTIME_ID) - used > idle_poll) since = nanoseconds(CLOCK_MONOTONIC);
  }
}

}  // namespace longsight::parallel
