// Added tokens as the Hugging Face files describe them.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/data/text/added_tokens.h"
#include "runtime/data/text/vocabulary.h"

namespace longsight::data {

using AddedTokensById = std::map<i64, AddedToken>;

// {"content": .., "special": .., "lstrip": .., ..}; `where` begins the messages. bad_data.
AddedToken added_token_of(const nlohmann::json& entry, i64 id, const std::string& where);

// The added_tokens_decoder of a tokenizer_config.json, {"ID": ENTRY, ..}, over what `tokens` holds: as in
// transformers its entries win. `source` names the file.
void read_added_tokens_decoder(const nlohmann::json& config, AddedTokensById& tokens,
                               const std::string& source);

// The special tokens that a tokenizer_config.json names, as entries: by their roles (bos_token, ..), and
// those without one.
std::vector<nlohmann::json> special_tokens(const nlohmann::json& config);
// Those that `tokens` lacks, as transformers adds them: with the id of the vocabulary's piece, or the next
// free one.
void read_special_tokens(const nlohmann::json& config, const Vocabulary&, AddedTokensById& tokens,
                         const std::string& source);

}  // namespace longsight::data
