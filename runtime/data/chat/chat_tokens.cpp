#include "runtime/data/chat/chat_tokens.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/base/json.h"

namespace longsight::data {
namespace {

bool has_token(const Tokenizer& tokenizer, i64 id) {
  return id >= 0 && id < tokenizer.vocab_size() && !tokenizer.token(id).empty();
}

std::string placeholder(const Tokenizer& tokenizer, std::optional<i64> id, const char* what) {
  if (!id) return {};
  require(has_token(tokenizer, *id), ExitCode::bad_data,
          "the tokenizer has no token with the model's {} token id {} (its ids end at {})", what, *id,
          tokenizer.vocab_size() - 1);
  return tokenizer.token(*id);
}

}  // namespace

ChatTokens chat_tokens(const Tokenizer& tokenizer, const std::filesystem::path& folder,
                       Placeholders placeholders, const std::vector<i64>& ends) {
  ChatTokens tokens;
  const Json config = read_tokenizer_config(folder);
  for (const auto& [key, value] : config.items()) {
    if (!key.ends_with("_token")) continue;
    if (const auto token = named_token(config, key.c_str())) tokens.named.emplace_back(key, *token);
  }
  const auto name = [&](const char* key, std::optional<i64> id) {
    const auto has = [key](const auto& one) { return one.first == key; };
    if (id && std::none_of(tokens.named.begin(), tokens.named.end(), has))
      tokens.named.emplace_back(key, tokenizer.token(*id));
  };
  name("bos_token", tokenizer.bos());
  name("eos_token", tokenizer.eos());
  name("pad_token", tokenizer.pad());
  for (i64 id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id) && !tokenizer.token(id).empty())
      tokens.special.push_back(tokenizer.token(id));
  }
  if (tokenizer.eos()) tokens.eos = tokenizer.token(*tokenizer.eos());
  if (!tokens.eos.empty()) tokens.ends.push_back(tokens.eos);
  for (const i64 id : ends) {
    if (has_token(tokenizer, id)) tokens.ends.push_back(tokenizer.token(id));
  }
  // What ends a generated text is special, whatever the tokenizer's files say.
  for (const std::string& end : tokens.ends) {
    if (std::find(tokens.special.begin(), tokens.special.end(), end) == tokens.special.end())
      tokens.special.push_back(end);
  }
  tokens.image = placeholder(tokenizer, placeholders.image, "image");
  tokens.video = placeholder(tokenizer, placeholders.video, "video");
  tokens.has = [&tokenizer](const std::string& token) { return tokenizer.id_of(token).has_value(); };
  return tokens;
}

}  // namespace longsight::data
