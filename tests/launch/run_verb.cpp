#include "tests/launch/run_verb.h"

#include <CLI/CLI.hpp>

#include "parallel/self_group.h"
#include "runtime/base/log.h"
#include "tests/support/captured_stdout.h"

namespace longsight::launch {

VerbResult run_verb(void (*add)(CLI::App&, Run&), const std::vector<std::string>& arguments,
                    parallel::ProcessGroup& world) {
  CLI::App app("test", "longsight");
  app.require_subcommand(1);
  Run verb;
  add(app, verb);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    fail(ExitCode::usage, "{}", error.what());
  }
  init_log(0, 1, Verbosity::quiet);
  Job job{world, {}};
  VerbResult result;
  result.out = stdout_of([&] { result.code = verb(job); });
  return result;
}

VerbResult run_verb(void (*add)(CLI::App&, Run&), const std::vector<std::string>& arguments) {
  parallel::SelfGroup self;
  return run_verb(add, arguments, self);
}

}  // namespace longsight::launch
