// Messages to people, on stderr. Results of a command go to stdout and not through here.
#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>

namespace longsight {

enum class Verbosity {
  quiet,    // warnings and errors of every rank
  normal,   // and information from rank 0
  verbose,  // and information from every rank
};

// Call once, when rank and number of ranks are known; before that messages appear as from a single rank.
// With several ranks every line begins with "[rank R] ".
void init_log(int rank, int ranks, Verbosity verbosity = Verbosity::normal);

namespace detail {
enum class LogLevel { info, warning, error };
void write_log(LogLevel level, const std::string& message);
bool log_shows(LogLevel level);
}  // namespace detail

template <class... A>
void log_info(fmt::format_string<A...> text, A&&... values) {
  if (!detail::log_shows(detail::LogLevel::info)) return;
  detail::write_log(detail::LogLevel::info, fmt::format(text, std::forward<A>(values)...));
}

template <class... A>
void log_warn(fmt::format_string<A...> text, A&&... values) {
  detail::write_log(detail::LogLevel::warning, fmt::format(text, std::forward<A>(values)...));
}

template <class... A>
void log_error(fmt::format_string<A...> text, A&&... values) {
  detail::write_log(detail::LogLevel::error, fmt::format(text, std::forward<A>(values)...));
}

}  // namespace longsight
