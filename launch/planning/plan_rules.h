// Which blocks a rule names, and what the configuration asks for each of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launch/planning/planner.h"

namespace longsight::planning {

// What a configuration says about one block's attention; empty: auto.
struct BlockRequest {
  std::optional<AttentionKind> attention;
  std::string source;  // "parallel.rules[0] (vision.0-3)"
};

struct BlockRequests {
  std::vector<BlockRequest> vision;
  std::vector<BlockRequest> language;
};

// The tower's own setting, then the rules in their order. Throws usage for a rule that names a block which
// does not exist, and for `images` on the language model.
BlockRequests block_requests(const ModelFacts&, const PlanOptions&);

}  // namespace longsight::planning
