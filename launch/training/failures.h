// What goes wrong on the way without ending the run: a save on a full disk, a held-out picture that vanished.
// Training goes on, and the job ends with the exit code of the first failure; or, where it is asked to, it
// stops behind the step in which something could not be written.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "parallel/groups/process_group.h"
#include "runtime/base/error.h"

namespace longsight::launch {

class Failures {
 public:
  // `speaks`: in the log, rank 0. `stops`: output.on_save_failure.
  Failures(bool speaks, bool stops) : speaks_(speaks), stops_(stops) {}

  // Runs the task, which writes something. What it throws is logged (of tasks of one name the first time
  // only) and remembered. True: it went well. Only for what this rank does alone: one that leaves a
  // collective early would keep the others waiting.
  bool attempt(const std::string& task, const std::function<void()>& run);
  // What failed on every rank alike.
  enum class Of { writing, evaluation };
  void add(const std::string& task, const Error& error, Of of = Of::writing) {
    remember(task, error.code(), error.what(), of);
  }

  // Where failures stop the run: the exit code of the first thing that could not be written; done: there is
  // none. Collective.
  ExitCode agree_to_stop(parallel::ProcessGroup& world, Stream stream) const;

  // The exit code of the job: that of the first failure of the lowest rank that has one. Collective.
  ExitCode agree(parallel::ProcessGroup& world, Stream stream) const;

 private:
  void remember(const std::string& task, ExitCode code, const std::string& message, Of of = Of::writing);
  std::map<std::string, i64> by_task_;
  bool speaks_, stops_;
  ExitCode first_ = ExitCode::done, first_of_writing_ = ExitCode::done;
};

}  // namespace longsight::launch
