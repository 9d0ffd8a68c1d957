// Added tokens (special and other) are cut out of a text before anything else looks at it.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/data/text/unicode.h"

namespace longsight::data {

struct AddedToken {
  std::string content;
  i64 id = 0;
  bool special = false;      // left out by decode, if asked
  bool single_word = false;  // not as part of a longer word
  bool lstrip = false;       // takes the spaces in front of it
  bool rstrip = false;       // takes the spaces behind it
  bool normalized = false;   // looked for in the normalised text, not in the one given
};

class AddedTokens {
 public:
  // `pattern` is what is looked for: token.content, perhaps normalised. Of two tokens with one pattern the
  // first counts.
  void add(const AddedToken& token, std::string_view pattern);

  // A stretch of the text: a token, or text without any.
  struct Segment {
    ByteSpan span;
    std::optional<i64> id;
  };
  // Whether the token may be recognised in these bytes; where not, it is as if it had never been added.
  using Allowed = std::function<bool(i64 id, ByteSpan)>;
  // Leftmost first, of those that begin at one place the longest. The segments cover `text`; none of text is
  // empty. `allowed`: empty for all tokens everywhere.
  std::vector<Segment> split(std::string_view text, const Allowed& allowed = {}) const;

 private:
  struct Match {
    std::size_t begin, end, index;  // into tokens_
  };
  std::optional<Match> find(std::string_view text, std::size_t from, const Allowed& allowed) const;

  struct Node {  // of a trie of patterns
    std::vector<std::pair<char, std::uint32_t>> next;
    std::size_t index = static_cast<std::size_t>(-1);
  };
  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> begins_{};
};

}  // namespace longsight::data
