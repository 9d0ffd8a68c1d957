#include "runtime/base/suggest.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "runtime/base/shorten.h"

namespace longsight {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t kLongest = 256;  // the distance costs the product of the lengths
  if (word.size() > kLongest) return "";
  int best = std::max(2, static_cast<int>(word.size()) / 3) + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const int distance = edit_distance(word, candidate);
    // A word of which nothing is kept is no likeness.
    if (distance < best && distance < static_cast<int>(std::max(word.size(), candidate.size()))) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  if (candidates.empty()) return "";
  if (const std::string near = nearest(word, candidates); !near.empty()) {
    return fmt::format("; did you mean \"{}\"?", near);
  }
  constexpr std::size_t kShown = 24;
  std::string text = "; valid: ";
  for (std::size_t i = 0; i < std::min(candidates.size(), kShown); ++i) {
    text += fmt::format("{}\"{}\"", i > 0 ? ", " : "", shortened(candidates[i]));
  }
  return candidates.size() > kShown ? text + ", ..." : text;
}

}  // namespace longsight
