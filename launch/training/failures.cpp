#include "launch/training/failures.h"

#include <exception>

#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

// That of the lowest rank that has one.
ExitCode first_of_all(ExitCode own, parallel::ProcessGroup& world, Stream stream) {
  for (const auto code : world.all_gather(static_cast<i64>(own), stream, "failures")) {
    if (code != static_cast<i64>(ExitCode::done)) return static_cast<ExitCode>(code);
  }
  return ExitCode::done;
}

}  // namespace

bool Failures::attempt(const std::string& task, const std::function<void()>& run) {
  try {
    run();
    return true;
  } catch (const Error& error) {
    remember(task, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    remember(task, ExitCode::internal, "out of memory");
  } catch (const std::exception& error) {
    remember(task, ExitCode::cannot_write, error.what());
  }
  return false;
}

void Failures::remember(const std::string& task, ExitCode code, const std::string& message, Of of) {
  if (first_ == ExitCode::done) first_ = code;
  if (of == Of::writing && first_of_writing_ == ExitCode::done) first_of_writing_ = code;
  const bool ends = stops_ && of == Of::writing;
  if (by_task_[task]++ == 0 && speaks_)
    log_error("{} failed{}: {}", task, ends ? "" : ", the run goes on", message);
}

ExitCode Failures::agree(parallel::ProcessGroup& world, Stream stream) const {
  return first_of_all(first_, world, stream);
}

ExitCode Failures::agree_to_stop(parallel::ProcessGroup& world, Stream stream) const {
  return stops_ ? first_of_all(first_of_writing_, world, stream) : ExitCode::done;
}

}  // namespace longsight::launch
