// What rendering a conversation must know of the model's tokens.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/data/text/tokenizer.h"

namespace longsight::data {

// Ids that the model's config names; features of images and videos take their places. Models of text have
// none.
struct Placeholders {
  std::optional<i64> image = {};
  std::optional<i64> video = {};
};

struct ChatTokens {
  std::vector<std::pair<std::string, std::string>>
      named;                           // of the template's context: bos_token, eos_token, ..
  std::vector<std::string> special;    // all special tokens, as written
  std::vector<std::string> ends = {};  // those that end a generated text: eos
  std::string eos = {};                // the tokenizer's; empty: none
  std::string image = {}, video = {};  // the model's placeholders; empty: none
  std::function<bool(const std::string&)> has = [](const std::string&) { return true; };  // that token
};

// Refers to the tokenizer. `folder` is that of the tokenizer: its tokenizer_config.json and
// special_tokens_map.json name the tokens. `ends`: ids with which the model's answers end besides the
// tokenizer's eos. bad_data if the tokenizer lacks a placeholder.
ChatTokens chat_tokens(const Tokenizer& tokenizer, const std::filesystem::path& folder,
                       Placeholders placeholders, const std::vector<i64>& ends = {});

}  // namespace longsight::data
