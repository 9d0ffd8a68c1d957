#include "parallel/groups/rank_text.h"

#include <algorithm>

#include <fmt/ranges.h>

namespace longsight::parallel {

std::string ranks_text(const std::vector<int>& ranks) {
  constexpr std::size_t kShown = 8;
  const std::vector<int> shown(ranks.begin(),
                               ranks.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, ranks.size())));
  return fmt::format("rank{} {}{}", ranks.size() == 1 ? "" : "s", fmt::join(shown, ", "),
                     ranks.size() > kShown ? fmt::format(" and {} more", ranks.size() - kShown) : "");
}

}  // namespace longsight::parallel
