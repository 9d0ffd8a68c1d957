// Ranks in messages.
#pragma once

#include <string>
#include <vector>

namespace longsight::parallel {

// "rank 2"; "ranks 0, 1, 5"; of many the first eight: "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 12 more".
std::string ranks_text(const std::vector<int>& ranks);

}  // namespace longsight::parallel
