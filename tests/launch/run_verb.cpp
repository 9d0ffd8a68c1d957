#include "tests/launch/run_verb.h"

#include "parallel/groups/flight_record.h"
#include "parallel/groups/self_group.h"
#include "runtime/base/log.h"
#include "tests/support/captured_stdout.h"

namespace longsight::launch {

VerbResult run_verb(void (*add)(Command, Run&), const std::vector<std::string>& arguments,
                    parallel::ProcessGroup& world) {
  CommandLine line("test", "longsight", [] { return "test"; });
  Run verb;
  add(line.root(), verb);
  line.parse(arguments);
  init_log(0, 1, Verbosity::quiet);
  Job job{world, {}};
  VerbResult result;
  result.out = stdout_of([&] { result.code = verb(job); });
  return result;
}

VerbResult run_verb(void (*add)(Command, Run&), const std::vector<std::string>& arguments) {
  parallel::SelfGroup self(parallel::kWorldLabel, std::make_shared<parallel::FlightRecord>());
  return run_verb(add, arguments, self);
}

}  // namespace longsight::launch
