// What a call throws: `CHECK(failure_of([&] { read(path); }) == Failure{ExitCode::bad_data, "..."})`.
#pragma once

#include <ostream>
#include <string>

#include <doctest/doctest.h>

#include "runtime/base/error.h"

namespace longsight {

struct Failure {
  ExitCode code = ExitCode::done;
  std::string message;
  friend bool operator==(const Failure&, const Failure&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Failure& failure) {
    return out << static_cast<int>(failure.code) << ": " << failure.message;
  }
};

// ExitCode::done and an empty message if nothing is thrown. Anything but an Error passes through.
template <class F>
Failure failure_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace longsight
