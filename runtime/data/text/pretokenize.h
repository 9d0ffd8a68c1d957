// Pre-tokenizers: text is cut into pieces, which are then merged one by one.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

// Bytes [begin, end) of the text; `prefixed` means a space goes in front of them that is not in the text.
struct Piece {
  i64 begin = 0;
  i64 end = 0;
  bool prefixed = false;
};

// What SentencePiece does with spaces: each becomes `space` (U+2581), and one goes in front of the text.
struct Metaspace {
  enum class Prefix {
    always,  // in front of each text between added tokens, unless it begins with one
    first,   // the same, but only at the beginning of the whole text
    never
  };
  std::string space;
  Prefix prefix = Prefix::always;
};

// The `pre_tokenizer` of a tokenizer.json: Split with a regular expression (Isolated) or a String, Digits,
// ByteLevel (with or without its GPT-2 pattern and prefix space) and Metaspace, alone or in a Sequence; null
// cuts nothing. Immutable; any number of threads. A regular expression without a scanner of its own goes
// through PCRE2, whose letters are those of Unicode 14 and whose \s also holds U+180E; it runs with a match
// limit, and exceeding it is bad_data.
class PreTokenizer {
 public:
  // `source` names the file in messages. bad_data for a component that is not one of the above, for ByteLevel
  // that is not the last, and for Metaspace that is not the first.
  PreTokenizer(const nlohmann::json& description, const std::string& source);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  // The pieces are texts of bytes (byte-level BPE), otherwise of characters.
  bool byte_level() const { return byte_level_; }
  // To be done with the text before split sees it.
  const std::optional<Metaspace>& metaspace() const { return metaspace_; }

  void split(std::string_view text, std::vector<Piece>& pieces) const;

 private:
  class Step;
  void add(const nlohmann::json& description, const std::string& where);
  std::unique_ptr<Step> split_step(const nlohmann::json& description, const std::string& where) const;
  std::unique_ptr<Step> metaspace_step(const nlohmann::json& description, const std::string& where);
  std::vector<std::unique_ptr<Step>> steps_;
  bool byte_level_ = false;
  std::optional<Metaspace> metaspace_;
};

}  // namespace longsight::data
