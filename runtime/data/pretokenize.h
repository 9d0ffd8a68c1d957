// Pre-tokenizers of byte-level BPE: text is cut into pieces, which are then merged one by one.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

// The patterns with a scanner of their own.
enum class Pattern {
  gpt2,        // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  qwen2,       // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|
               // ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  llama3,      // as qwen2, with \p{N}{1,3}
  digits,      // each number character for itself
  digit_runs,  // runs of number characters for themselves
};

// Appends where each piece of `text` (well-formed UTF-8) ends; the pieces cover the text.
void scan(Pattern pattern, std::string_view text, std::vector<i64>& ends);

// Bytes [begin, end) of the text; `prefixed` means a space goes in front of them that is not in the text.
struct Piece {
  i64 begin = 0;
  i64 end = 0;
  bool prefixed = false;
};

// The `pre_tokenizer` of a tokenizer.json: Split with a regular expression (Isolated), Digits and ByteLevel
// (with or without its GPT-2 pattern and prefix space), alone or in a Sequence. Immutable; any number of
// threads. A regular expression without a scanner of its own goes through PCRE2, whose letters are those of
// Unicode 14 and whose \s also holds U+180E; it runs with a match limit, and exceeding it is bad_data.
class PreTokenizer {
 public:
  // `source` names the file in messages. bad_data for a component that is not one of the above, or if
  // ByteLevel is missing or not the last.
  PreTokenizer(const nlohmann::json& description, const std::string& source);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  void split(std::string_view text, std::vector<Piece>& pieces) const;

 private:
  class Step;
  void add(const nlohmann::json& description, const std::string& source);
  std::vector<std::unique_ptr<Step>> steps_;
  bool byte_level_ = false;
};

}  // namespace longsight::data
