#include "runtime/data/text/added_tokens_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "runtime/data/text/tokenizer.h"
#include "runtime/data/text/tokenizer_json.h"

namespace longsight::data {

AddedToken added_token_of(const Json& entry, i64 id, const std::string& where) {
  require(id >= 0 && id < Vocabulary::kMostIds, ExitCode::bad_data, "{}: the id {} is outside of 0 to {}",
          where, id, Vocabulary::kMostIds - 1);
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

namespace {

Json special_entry(const Json& token) {
  Json entry = token.is_object() ? token : Json{{"content", token}, {"normalized", false}};
  entry["special"] = true;
  return entry;
}

}  // namespace

std::vector<Json> special_tokens(const Json& config) {
  static constexpr std::array kRoles{"bos_token", "eos_token", "unk_token", "sep_token",
                                     "pad_token", "cls_token", "mask_token"};
  std::vector<Json> tokens;
  for (const char* role : kRoles) {
    if (named_token(config, role)) tokens.push_back(special_entry(config[role]));
  }
  // Roles of one model alone: image_token, ..
  for (const auto& [key, value] : config.items()) {
    const bool usual = std::find(kRoles.begin(), kRoles.end(), key) != kRoles.end();
    if (!usual && key.ends_with("_token") && value.is_string()) tokens.push_back(special_entry(value));
  }
  for (const char* list : {"additional_special_tokens", "extra_special_tokens"}) {
    const Json* more = present(config, list);
    if (more == nullptr || (!more->is_array() && !more->is_object())) continue;
    for (const Json& token : *more) {
      if (token.is_string() || token.is_object()) tokens.push_back(special_entry(token));
    }
  }
  return tokens;
}

void read_special_tokens(const Json& config, const Vocabulary& vocabulary, AddedTokensById& tokens,
                         const std::string& source) {
  std::set<std::string> known;
  i64 next = vocabulary.size();
  for (const auto& [id, token] : tokens) {
    known.insert(token.content);
    next = std::max(next, id + 1);
  }
  for (const Json& entry : special_tokens(config)) {
    const std::string content = text_member(entry, "content", source);
    if (!known.insert(content).second) continue;
    const i64 id = vocabulary.id_of(content).value_or(next);
    next = std::max(next, id + 1);
    tokens[id] = added_token_of(entry, id, source);
  }
}

}  // namespace longsight::data
