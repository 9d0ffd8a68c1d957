#include "launch/progress.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

constexpr double kSecondsBetweenLines = 10;
constexpr i64 kBarWidth = 24;

}  // namespace

std::string time_text(double seconds) {
  const auto s = static_cast<i64>(std::max(0.0, seconds) + 0.5);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

Progress::Progress(std::string what, i64 total, bool shown, i64 before)
    : what_(std::move(what)),
      total_(total),
      before_(before),
      shown_(shown),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      last_line_(start_) {}

Progress::~Progress() {
  clear();
}

double Progress::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::update(i64 done, const std::string& detail) {
  if (!shown_) return;
  const double seconds = elapsed();
  const i64 own = done - before_;
  const double left = own > 0 ? seconds / static_cast<double>(own) * static_cast<double>(total_ - done) : 0;
  if (terminal_) {
    const i64 filled = total_ > 0 ? kBarWidth * done / total_ : kBarWidth;
    std::fprintf(
        stderr, "\r\033[K%s",
        fmt::format("{} [{:<{}}] {}/{} {} {} left", what_, std::string(static_cast<std::size_t>(filled), '='),
                    kBarWidth, done, total_, detail, time_text(left))
            .c_str());
    std::fflush(stderr);
    bar_visible_ = true;
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  const bool first_or_last = own <= 1 || done == total_;
  if (!first_or_last && std::chrono::duration<double>(now - last_line_).count() < kSecondsBetweenLines)
    return;
  last_line_ = now;
  log_info("{} {}/{} {} {} left", what_, done, total_, detail, time_text(left));
}

void Progress::clear() {
  if (!bar_visible_) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
  bar_visible_ = false;
}

}  // namespace longsight::launch
