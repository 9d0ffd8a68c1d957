// Learns a byte-level BPE from texts, and writes it as the files that the Hugging Face library reads.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

struct BpeVocabulary {
  i64 special_tokens = 0;                   // the first ids
  std::vector<std::string> tokens;          // by id; special tokens as they are, pieces in the byte alphabet
  std::vector<std::pair<i64, i64>> merges;  // ids, best first
};

// Ids: the special tokens in the order given, the 256 bytes in the order of their letters, then one piece a
// merge. Texts are cut by the pattern of GPT-2, special tokens in them left out. The most frequent pair is
// merged first, of equally frequent ones that with the smallest ids: the same texts give the same vocabulary,
// in any order, and the same as the BpeTrainer of `tokenizers`. Less than `vocab_size` tokens if the texts
// have no more pairs to merge. `usage` if vocab_size has no room for the special tokens and bytes; bad_data
// for text that is not UTF-8.
BpeVocabulary learn_bpe(std::span<const std::string> texts, i64 vocab_size,
                        std::span<const std::string> special_tokens);

// Names must be among the special tokens; an empty one is left out.
struct TokenizerRoles {
  std::string bos = "<s>";
  std::string eos = "</s>";
  std::string unk = "<unk>";
  std::string pad = "<pad>";
  bool add_bos = true;             // in front of each text
  std::string chat_template = {};  // Jinja; empty: none
};

// Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json and, with a chat template,
// chat_template.jinja into an existing folder; AutoTokenizer makes a PreTrainedTokenizerFast of them. `usage`
// for a role whose token is not among the special ones; cannot_write.
void write_tokenizer(const std::string& folder, const BpeVocabulary& vocabulary, const TokenizerRoles& roles);

}  // namespace longsight::data
