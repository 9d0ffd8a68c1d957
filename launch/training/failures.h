// What goes wrong on the way without ending the run: a save on a full disk, a held-out picture that vanished.
// Training goes on, and the job ends with the exit code of the first failure.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "parallel/groups/process_group.h"
#include "runtime/base/error.h"

namespace longsight::launch {

class Failures {
 public:
  explicit Failures(bool speaks) : speaks_(speaks) {}  // in the log: rank 0

  // Runs the task. What it throws is logged (of tasks of one name the first time only) and remembered. True:
  // it went well. Only for what this rank does alone: one that leaves a collective early would keep the
  // others waiting.
  bool attempt(const std::string& task, const std::function<void()>& run);
  // What failed on every rank alike.
  void add(const std::string& task, const Error& error) { remember(task, error.code(), error.what()); }

  // The exit code of the job: that of the first failure of the lowest rank that has one. Collective.
  ExitCode agree(parallel::ProcessGroup& world, Stream stream) const;

 private:
  void remember(const std::string& task, ExitCode code, const std::string& message);
  std::map<std::string, i64> by_task_;
  bool speaks_;
  i64 count_ = 0;
  ExitCode first_ = ExitCode::done;
};

}  // namespace longsight::launch
