#include "runtime/data/added_tokens_json.h"

#include <charconv>

#include "runtime/data/tokenizer_json.h"

namespace longsight::data {

AddedToken added_token_of(const Json& entry, i64 id, const std::string& where) {
  AddedToken token{.content = text_member(entry, "content", where), .id = id};
  token.special = flag(entry, "special", false, where);
  token.single_word = flag(entry, "single_word", false, where);
  token.lstrip = flag(entry, "lstrip", false, where);
  token.rstrip = flag(entry, "rstrip", false, where);
  token.normalized = flag(entry, "normalized", !token.special, where);
  return token;
}

void read_added_tokens_decoder(const Json& config, AddedTokensById& tokens, const std::string& source) {
  const Json* decoder = present(config, "added_tokens_decoder");
  if (decoder == nullptr) return;
  require(decoder->is_object(), ExitCode::bad_data, "{}: added_tokens_decoder is not an object", source);
  for (const auto& [key, entry] : decoder->items()) {
    const std::string where = fmt::format("{}: added_tokens_decoder: {}", source, key);
    i64 id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    require(error == std::errc() && end == key.data() + key.size(), ExitCode::bad_data,
            "{} is not a token id", where);
    require(entry.is_object(), ExitCode::bad_data, "{} is not an object", where);
    tokens[id] = added_token_of(entry, id, where);
  }
}

}  // namespace longsight::data
