#include "runtime/base/suggest.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "runtime/base/shorten.h"

namespace longsight {
namespace {

constexpr std::size_t kLongestWord = 256;  // a distance costs the product of the lengths

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// Edits that turn the word into some part of the text.
int distance_to_part(std::string_view word, std::string_view text) {
  std::vector<int> above(text.size() + 1, 0), row(text.size() + 1);  // a part may begin anywhere
  for (std::size_t i = 1; i <= word.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= text.size(); ++j) {
      row[j] =
          std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (lower(word[i - 1]) != lower(text[j - 1]))});
    }
    above.swap(row);
  }
  return *std::min_element(above.begin(), above.end());  // and end anywhere
}

}  // namespace

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
  if (word.size() > kLongestWord) return "";
  int best = std::max(2, static_cast<int>(word.size()) / 3) + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongestWord) continue;
    const int distance = edit_distance(word, candidate);
    // A word of which nothing is kept is no likeness.
    if (distance < best && distance < static_cast<int>(std::max(word.size(), candidate.size()))) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::vector<std::string> nearest_in(std::string_view text, std::span<const std::string> candidates,
                                    std::size_t most) {
  text = text.substr(text.size() - std::min(text.size(), kLongestWord));  // of a path its end
  std::vector<std::pair<double, std::string>> found;
  for (const std::string& candidate : candidates) {
    const auto letters = static_cast<double>(std::max<std::size_t>(candidate.size(), 1));
    found.emplace_back(distance_to_part(candidate, text) / letters, candidate);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.size() > b.second.size();
  });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(most, found.size()); ++i) names.push_back(found[i].second);
  return names;
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
