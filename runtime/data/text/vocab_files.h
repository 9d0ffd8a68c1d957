// Byte-level BPE in its older form: vocab.json and merges.txt, with what special_tokens_map.json,
// tokenizer_config.json and added_tokens.json say beside them.
#pragma once

#include <filesystem>

#include "runtime/base/json.h"

namespace longsight::data {

bool has_vocab_files(const std::filesystem::path& folder);  // one of the two is enough

struct VocabFiles {
  Json tokenizer;  // the content of a tokenizer.json
  Json config;     // of a tokenizer_config.json, with the names that the class gives its tokens
};

// What transformers makes of such a folder, for the classes that say themselves how text is cut:
// Qwen2Tokenizer and GPT2Tokenizer (also ...Fast); without a class, that of config.json's model_type.
// bad_data for any other, by name, and for files that contradict each other; missing_input where one of the
// two is missing.
VocabFiles read_vocab_files(const std::filesystem::path& folder);

}  // namespace longsight::data
