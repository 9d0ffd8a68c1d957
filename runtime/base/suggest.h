// "did you mean": the nearest of the words that would have been right.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longsight {

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other
// (optimal string alignment distance, in bytes).
int edit_distance(std::string_view a, std::string_view b);

// The candidate with the smallest distance, the first of several; empty if none is near: a third of the
// word's length, or 2 for short words.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// The `most` candidates that come nearest to a part of the text ("qwen2" to "Qwen2-7B-Instruct"), best first:
// by the share of their letters that would have to change; of equals the longer one. Case does not count.
std::vector<std::string> nearest_in(std::string_view text, std::span<const std::string> candidates,
                                    std::size_t most);

// The end of an error message: `; did you mean "optimizer"?`, or without a near one `; valid: "lr", "warmup"`
// (cut short when there are many), or nothing without candidates.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace longsight
