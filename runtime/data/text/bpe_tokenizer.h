// BPE tokenizers in the Hugging Face file format, tokenizer.json: byte-level (GPT-2, Qwen2, Llama-3, SmolLM
// and their kind), and over characters with byte fallback (Llama-2, Mistral, Gemma).
//
// Token ids equal those of the library `tokenizers`: added tokens are split off, then normaliser,
// pre-tokenizer and merges run on what lies between them, then the post-processor adds its tokens. Not
// modelled, because they do not change ids: truncation, padding, offsets with trimmed spaces,
// clean_up_tokenization_spaces.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/text/added_tokens.h"
#include "runtime/data/text/bpe_model.h"
#include "runtime/data/text/normalize.h"
#include "runtime/data/text/pretokenize.h"
#include "runtime/data/text/token_decoder.h"
#include "runtime/data/text/tokenizer.h"

namespace longsight::data {

class BpeTokenizer final : public Tokenizer {
 public:
  // Reads FOLDER/tokenizer.json and, if they are there, special_tokens_map.json and tokenizer_config.json:
  // bos, eos and pad, added tokens, add_bos_token and add_eos_token. missing_input without tokenizer.json;
  // bad_data for what is malformed or not supported, by name.
  static BpeTokenizer from_folder(const std::filesystem::path& folder);
  // `tokenizer` is the content of a tokenizer.json, `config` that of a tokenizer_config.json (or an empty
  // object). `source` names the first in messages.
  BpeTokenizer(const nlohmann::json& tokenizer, const nlohmann::json& config, const std::string& source);

  Encoding encode(std::string_view text, EncodeCache& cache, bool add_special_tokens = true,
                  const PlacedTokens& placed = {}) const override;
  std::string decode(std::span<const i64> ids, bool skip_special_tokens) const override;

 private:
  void read_added_tokens(const nlohmann::json& tokenizer, const nlohmann::json& config,
                         const std::string& source);
  void add_token(const AddedToken& token, const std::string& source);
  void read_post_processor(const nlohmann::json& processor, const std::string& source);

  void encode_segment(std::string_view text, i64 begin, const PlacedTokens& placed, EncodeCache& cache,
                      Encoding& out) const;
  void encode_pieces(std::string_view text, EncodeCache& cache, Encoding& out) const;
  void encode_word(std::string_view text, const Piece& word, EncodeCache& cache, Encoding& out) const;

  Normalizer normalizer_;
  PreTokenizer pretokenizer_;
  BpeModel model_;
  TokenDecoder decoder_;
  AddedTokens raw_, normalized_;      // looked for before and after normalisation
  std::vector<std::string> written_;  // of added tokens, by id: what they decode to; empty: the token itself
  std::vector<i64> front_, back_;     // what the post-processor puts around a text
};

}  // namespace longsight::data
