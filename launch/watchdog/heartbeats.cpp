#include "launch/watchdog/heartbeats.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

// A page of memory each: on a network file system a host then writes no page that another one writes.
constexpr i64 kPage = 4096;

}  // namespace

std::string text_of(const Heartbeat& beat) {
  const parallel::Standing& at = beat.standing;
  return json_text(nlohmann::ordered_json{{"tick", beat.tick},
                                          {"ended", beat.ended},
                                          {"quiet", beat.quiet},
                                          {"host", beat.host},
                                          {"process", beat.process},
                                          {"phase", static_cast<int>(at.phase)},
                                          {"step", at.step},
                                          {"world", at.world},
                                          {"number", at.call.number},
                                          {"in_group", at.call.in_group},
                                          {"operation", static_cast<int>(at.call.operation)},
                                          {"bytes", at.call.bytes},
                                          {"under_way", at.call.under_way()},
                                          {"group", at.call.group.data()},
                                          {"label", at.call.label.data()}});
}

std::optional<Heartbeat> heartbeat_of(const std::string& text) {
  try {
    const Json json = parse_json(text, Heartbeats::kFile);
    const std::string where = Heartbeats::kFile;
    const auto number = [&](const char* key) { return require_i64(json, key, where); };
    const i64 phase = number("phase"), operation = number("operation");
    if (phase < 0 || phase >= parallel::kPhases || operation < 0 || operation >= parallel::kOperations)
      return std::nullopt;
    Heartbeat beat{.tick = number("tick"),
                   .ended = require_bool(json, "ended", where),
                   .quiet = require_double(json, "quiet", where),
                   .host = require_string(json, "host", where),
                   .process = number("process")};
    parallel::Standing& at = beat.standing;
    at.phase = static_cast<parallel::Phase>(phase);
    at.step = number("step");
    at.world = number("world");
    at.call.number = number("number");
    at.call.in_group = number("in_group");
    at.call.operation = static_cast<parallel::Operation>(operation);
    at.call.bytes = number("bytes");
    at.call.done = require_bool(json, "under_way", where) ? 0 : 1;
    parallel::copy_cut(require_string(json, "group", where), at.call.group);
    parallel::copy_cut(require_string(json, "label", where), at.call.label);
    return beat;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::unique_ptr<Heartbeats> Heartbeats::make(const std::string& file, i64 ranks) {
  io::write_file(file, std::string(static_cast<std::size_t>(ranks * kPage), ' '));
  return std::make_unique<Heartbeats>(file, 0, ranks);
}

Heartbeats::Heartbeats(const std::string& file, i64 rank, i64 ranks) : rank_(rank), ranks_(ranks) {
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  require(descriptor_ >= 0, ExitCode::cannot_write, "cannot write {}: {}", file, std::strerror(errno));
}

Heartbeats::~Heartbeats() {
  ::close(descriptor_);
}

void Heartbeats::write(const Heartbeat& beat) noexcept {
  try {
    std::string page = text_of(beat);
    page.resize(kPage, ' ');
    if (::pwrite(descriptor_, page.data(), page.size(), rank_ * kPage) < 0) return;
    // On a network file system it is the closing of a descriptor that shows others what was written.
    if (const int other = ::dup(descriptor_); other >= 0) ::close(other);
  } catch (const std::exception&) {  // no memory just now
  }
}

std::vector<Heartbeat> Heartbeats::read() const {
  std::vector<Heartbeat> beats(static_cast<std::size_t>(ranks_));
  // And it is the opening that shows what others wrote; by this name also where the file has none any more.
  const std::string again = fmt::format("/proc/self/fd/{}", descriptor_);
  const int fresh = ::open(again.c_str(), O_RDONLY | O_CLOEXEC);
  std::string page(kPage, ' ');
  for (i64 rank = 0; fresh >= 0 && rank < ranks_; ++rank) {
    const ssize_t got = ::pread(fresh, page.data(), page.size(), rank * kPage);
    if (got != kPage) continue;
    if (auto beat = heartbeat_of(page)) beats[static_cast<std::size_t>(rank)] = std::move(*beat);
  }
  if (fresh >= 0) ::close(fresh);
  return beats;
}

}  // namespace longsight::launch
