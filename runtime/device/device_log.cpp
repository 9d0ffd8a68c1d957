#include "runtime/device/device_log.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "runtime/base/error.h"

namespace longsight {
namespace {

constexpr std::size_t kStreams = 3;

// Vector clocks (Fidge 1988, Mattern 1989): how much of each stream's work lies before a point.
using Clock = std::array<i64, kStreams>;

void join(Clock& clock, const Clock& other) {
  for (std::size_t s = 0; s < kStreams; ++s) clock[s] = std::max(clock[s], other[s]);
}

struct Touch {
  i64 at = 0;  // on its stream's clock; 0: never
  std::size_t entry = 0;
};

// The last work of each stream that touched a page. What lay before it on its stream is ordered with it.
struct Page {
  std::array<Touch, kStreams> read, written;
};

}  // namespace

std::vector<std::size_t> DeviceLog::waits() const {
  std::vector<std::size_t> found;
  std::unordered_set<i64> recorded;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].kind == Kind::record) recorded.insert(entries[i].event);
    if (entries[i].kind == Kind::wait && recorded.contains(entries[i].event)) found.push_back(i);
  }
  return found;
}

std::string DeviceLog::race(std::ptrdiff_t without) const {
  std::array<Clock, kStreams> clocks{};
  Clock host{};
  std::unordered_map<i64, Clock> recorded;
  std::unordered_map<i64, Page> pages;
  std::ptrdiff_t waits = 0;

  const auto conflict = [&](const std::array<Touch, kStreams>& touched, const Clock& now, std::size_t entry,
                            i64 page, const char* does, const char* did) -> std::string {
    const auto mine = static_cast<std::size_t>(entries[entry].stream);
    for (std::size_t s = 0; s < kStreams; ++s) {
      if (s == mine || touched[s].at <= now[s]) continue;
      return fmt::format(
          "{} (entry {}) on stream {} {} page {}, {} by {} (entry {}) on stream {}, and nothing "
          "orders them",
          entries[entry].name, entry, mine, does, page, did, entries[touched[s].entry].name, touched[s].entry,
          s);
    }
    return {};
  };

  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    const auto s = static_cast<std::size_t>(entry.stream);
    check(s < kStreams, "stream {} of a log", entry.stream);
    Clock& clock = clocks[s];
    switch (entry.kind) {
      case Kind::record:
        join(clock, host);
        recorded[entry.event] = clock;
        break;
      case Kind::wait:
        if (recorded.contains(entry.event) && waits++ != without) join(clock, recorded[entry.event]);
        break;
      case Kind::host_wait:
        if (recorded.contains(entry.event)) join(host, recorded[entry.event]);
        break;
      case Kind::host_sync:
        join(host, clock);
        break;
      case Kind::work: {
        join(clock, host);  // it was queued when the host had seen that
        clock[s] += 1;
        for (const i64 page : entry.read) {
          std::string found = conflict(pages[page].written, clock, i, page, "reads", "written");
          if (!found.empty()) return found;
          pages[page].read[s] = {clock[s], i};
        }
        for (const i64 page : entry.written) {
          std::string found = conflict(pages[page].written, clock, i, page, "writes", "written");
          if (found.empty()) found = conflict(pages[page].read, clock, i, page, "writes", "read");
          if (!found.empty()) return found;
          pages[page].written[s] = {clock[s], i};
        }
        break;
      }
    }
  }
  return {};
}

}  // namespace longsight
