// Cuts text by a regular expression through PCRE2, whose letters are those of Unicode 14 and whose \s also
// holds U+180E.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

// Immutable; any number of threads.
class RegexScan {
 public:
  // `where` begins the messages. bad_data for a pattern that is not understood.
  RegexScan(const std::string& pattern, const std::string& where);
  ~RegexScan();
  RegexScan(const RegexScan&) = delete;
  RegexScan& operator=(const RegexScan&) = delete;

  // Appends where each piece of `text` (well-formed UTF-8) ends: matches, and what lies between them.
  // bad_data for a text on which the pattern exceeds the match limit.
  void scan(std::string_view text, std::vector<i64>& ends) const;

 private:
  struct Compiled;
  std::string pattern_, where_;
  std::unique_ptr<Compiled> compiled_;
};

// Whether the pattern is found in the text; anchors say where. bad_data, with `where`, for one that is not
// understood.
bool matches_pattern(const std::string& pattern, std::string_view text, const std::string& where);
// What the last group of the pattern holds of the text; nothing where the pattern is not found.
std::optional<std::string> last_group(const std::string& pattern, std::string_view text,
                                      const std::string& where);

}  // namespace longsight::data
