// "did you mean": the nearest of the words that would have been right.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace longsight {

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other
// (optimal string alignment distance, in bytes).
int edit_distance(std::string_view a, std::string_view b);

// The candidate with the smallest distance, the first of several; empty if none is near: a third of the
// word's length, or 2 for short words.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// The end of an error message: `; did you mean "optimizer"?`, or without a near one `; valid: "lr", "warmup"`
// (cut short when there are many), or nothing without candidates.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace longsight
