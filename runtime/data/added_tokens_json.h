// Added tokens as the Hugging Face files describe them.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/data/added_tokens.h"

namespace longsight::data {

using AddedTokensById = std::map<i64, AddedToken>;

// {"content": .., "special": .., "lstrip": .., ..}; `where` begins the messages. bad_data.
AddedToken added_token_of(const nlohmann::json& entry, i64 id, const std::string& where);

// The added_tokens_decoder of a tokenizer_config.json, {"ID": ENTRY, ..}, over what `tokens` holds: as in
// transformers its entries win. `source` names the file.
void read_added_tokens_decoder(const nlohmann::json& config, AddedTokensById& tokens,
                               const std::string& source);

}  // namespace longsight::data
