// What must be the same on every rank is compared, not assumed: ranks may run on nodes with other files,
// other programs or other arguments.
#pragma once

#include <string>
#include <vector>

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

struct Fact {
  std::string name;   // "train.seed"
  std::string value;  // "7"; large ones as a hash
};

// Collective over `group`. Where a fact is not the same on all ranks, or some rank has none of this name,
// every rank throws `code`, naming the first such fact, its values and the ranks that have them. `remedy`
// ends the message.
void require_agreement(const std::vector<Fact>& facts, ExitCode code, const std::string& remedy,
                       ProcessGroup& group, Stream stream);

}  // namespace longsight::parallel
