// Runs a verb as main does, in the test's own process.
#pragma once

#include <string>
#include <vector>

#include "launch/verb.h"

namespace longsight::launch {

struct VerbResult {
  ExitCode code = ExitCode::internal;
  std::string out;
};

// `arguments` begin with the verb. A command line that does not parse is a usage error, as in main.
VerbResult run_verb(void (*add)(Command, Run&), const std::vector<std::string>& arguments,
                    parallel::ProcessGroup& world);
VerbResult run_verb(void (*add)(Command, Run&), const std::vector<std::string>& arguments);  // on one rank

}  // namespace longsight::launch
