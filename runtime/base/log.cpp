#include "runtime/base/log.h"

#include <memory>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "runtime/base/readable.h"

namespace longsight {
namespace {

constexpr const char* kName = "longsight";

std::shared_ptr<spdlog::logger> make_logger(const std::string& prefix, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>(kName, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(prefix + "%v");
  logger->set_level(level);
  logger->flush_on(spdlog::level::trace);  // a killed rank must not take its last lines with it
  return logger;
}

// spdlog's own registry keeps the logger, so that nothing here is global.
std::shared_ptr<spdlog::logger> logger() {
  auto found = spdlog::get(kName);
  return found ? found : make_logger("", spdlog::level::info);
}

spdlog::level::level_enum spdlog_level(detail::LogLevel level) {
  switch (level) {
    case detail::LogLevel::info:
      return spdlog::level::info;
    case detail::LogLevel::warning:
      return spdlog::level::warn;
    default:
      return spdlog::level::err;
  }
}

}  // namespace

void init_log(int rank, int ranks, Verbosity verbosity) {
  const bool informs = verbosity == Verbosity::verbose || (verbosity == Verbosity::normal && rank == 0);
  spdlog::drop(kName);
  spdlog::register_logger(make_logger(ranks > 1 ? fmt::format("[rank {}] ", rank) : "",
                                      informs ? spdlog::level::info : spdlog::level::warn));
}

namespace detail {

bool log_shows(LogLevel level) {
  return logger()->should_log(spdlog_level(level));
}

void write_log(LogLevel level, const std::string& message) {
  const char* kind = level == LogLevel::info ? "" : level == LogLevel::warning ? "warning: " : "error: ";
  logger()->log(spdlog_level(level), spdlog::string_view_t(kind + readable(message)));
}

}  // namespace detail
}  // namespace longsight
