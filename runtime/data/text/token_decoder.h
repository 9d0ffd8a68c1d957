// The `decoder` of a tokenizer.json: how tokens become text again.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

// ByteLevel, Metaspace, Replace of a String, ByteFallback, Fuse and Strip, alone or in a Sequence. Immutable;
// any number of threads.
class TokenDecoder {
 public:
  TokenDecoder() = default;  // puts spaces between tokens, as the Hugging Face library does without a decoder
  static TokenDecoder byte_level();
  // `source` names the file in messages. bad_data for a type that is not one of the above.
  TokenDecoder(const nlohmann::json& description, const std::string& source);

  // Tokens as the vocabulary has them. Bytes that form no character become U+FFFD.
  std::string operator()(std::vector<std::string> tokens) const;

 private:
  struct ByteLevel {};
  struct Metaspace {
    std::string space;
    bool prefix = false;  // the first token begins with one that is not in the text
  };
  struct Replace {
    std::string from, to;
  };
  struct ByteFallback {};
  struct Fuse {};
  struct Strip {
    std::string content;
    i64 front = 0, back = 0;  // at most that many times
  };
  using Step = std::variant<ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip>;
  using Tokens = std::vector<std::string>;
  void add(const nlohmann::json& description, const std::string& where);
  static void apply(const ByteLevel&, Tokens&);
  static void apply(const Metaspace&, Tokens&);
  static void apply(const Replace&, Tokens&);
  static void apply(const ByteFallback&, Tokens&);
  static void apply(const Fuse&, Tokens&);
  static void apply(const Strip&, Tokens&);

  std::vector<Step> steps_;
};

}  // namespace longsight::data
