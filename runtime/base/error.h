// Errors that carry an exit code. Libraries throw; launch/main.cpp alone catches, prints and ends the job.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <fmt/format.h>

namespace longsight {

// The process exit codes of the command line (documented in the README).
enum class ExitCode : int {
  done = 0,
  usage = 64,           // command line or configuration
  bad_data = 65,        // a sample, checkpoint file or tokenizer is not what it must be
  missing_input = 66,   // an input file or folder is not there
  internal = 70,        // a broken invariant, or a failed audit
  cannot_write = 73,    // disk full, permission
  hang = 74,            // found by the watchdog
  stopped = 75,         // stopped with a checkpoint, start again
  non_finite = 76,      // loss or gradient
  bad_checkpoint = 77,  // corrupt, and no valid one is left
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

// An error that the user can do something about: say what, where (file, line, key, tensor, sample) and the
// remedy.
template <class... A>
[[noreturn]] void fail(ExitCode code, fmt::format_string<A...> text, A&&... values) {
  throw Error(code, fmt::format(text, std::forward<A>(values)...));
}

template <class... A>
void require(bool ok, ExitCode code, fmt::format_string<A...> text, A&&... values) {
  if (!ok) throw Error(code, fmt::format(text, std::forward<A>(values)...));
}

// A format string that remembers where it was written.
template <class... A>
struct FormatHere {
  template <class S>
  consteval FormatHere(const S& s,
                       std::source_location place = std::source_location::current())  // NOLINT: implicit
      : text(s), where(place) {}
  fmt::format_string<A...> text;
  std::source_location where;
};

// "runtime/ops/linear.cpp:41": a source location relative to the repository root.
std::string place_of(const std::source_location& where);

// An invariant of the program itself (shapes, counts, call order); its failure is a bug: exit code 70, with
// the place.
template <class... A>
void check(bool ok, FormatHere<std::type_identity_t<A>...> text, A&&... values) {
  if (!ok) {
    throw Error(ExitCode::internal,
                place_of(text.where) + ": " + fmt::format(text.text, std::forward<A>(values)...));
  }
}

}  // namespace longsight
