#include "launch/training/failures.h"

#include <exception>

#include "runtime/base/log.h"

namespace longsight::launch {

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

void Failures::remember(const std::string& task, ExitCode code, const std::string& message) {
  if (count_++ == 0) first_ = code;
  if (by_task_[task]++ == 0 && speaks_) log_error("{} failed, the run goes on: {}", task, message);
}

ExitCode Failures::agree(parallel::ProcessGroup& world, Stream stream) const {
  for (const auto code : world.all_gather(static_cast<i64>(first_), stream, "failures")) {
    if (code != static_cast<i64>(ExitCode::done)) return static_cast<ExitCode>(code);
  }
  return ExitCode::done;
}

}  // namespace longsight::launch
