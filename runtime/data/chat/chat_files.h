// What a model folder says of chats: written from what a run was trained with.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/data/chat/chat_source.h"

namespace longsight::data {

// The chat template into a folder that has the tokenizer's files: chat_template.jinja (with
// additional_chat_templates/), which transformers reads today, and where older readers look:
// tokenizer_config.json and, for a model with a processor, chat_template.json. Nothing of another template
// stays. cannot_write.
void write_chat_files(const std::string& folder, const ChatSource& chat, bool has_processor);

// The ids with which answers end: `ids` behind those that config.json (there also its text_config or
// llm_config) and generation_config.json name, which must be there. cannot_write.
void write_end_tokens(const std::string& folder, const std::vector<i64>& ids);

// The tokenizer's files of a folder into another one, in the place of those there. cannot_write.
void replace_tokenizer_files(const std::string& from, const std::string& to);

// eos_token_id of a configuration: nothing, one id or a list. bad_data, with `file`, for what is none.
std::vector<i64> end_tokens_of(const nlohmann::json& config, const std::string& file);

}  // namespace longsight::data
