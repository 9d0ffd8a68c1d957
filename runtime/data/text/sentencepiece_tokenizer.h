// Folders that have only a SentencePiece tokenizer.model (LLaVA, InternLM2, Gemma): libsentencepiece behind
// the added tokens of the Hugging Face files beside it.
//
// Ids are those of the slow tokenizers of transformers 4: special and added tokens are split off, what lies
// between them goes through SentencePiece. Where tokenizer_config.json says "legacy": false, only the
// beginning of the text gets the prefix space, else each part does.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/text/added_tokens.h"
#include "runtime/data/text/tokenizer.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace longsight::data {

class SentencePieceTokenizer final : public Tokenizer {
 public:
  // Reads FOLDER/tokenizer.model; added tokens from added_tokens.json and the added_tokens_decoder of
  // tokenizer_config.json; bos_token, eos_token, unk_token, pad_token, additional_special_tokens,
  // add_bos_token (true where absent), add_eos_token (false), legacy (true) and add_prefix_space (true) from
  // tokenizer_config.json or special_tokens_map.json. Names that are absent are those of the model.
  // missing_input without the model; bad_data for what is malformed.
  static SentencePieceTokenizer from_folder(const std::filesystem::path& folder);
  ~SentencePieceTokenizer() override;
  SentencePieceTokenizer(SentencePieceTokenizer&&) noexcept;

  Encoding encode(std::string_view text, EncodeCache& cache, bool add_special_tokens = true,
                  const PlacedTokens& placed = {}) const override;
  // Added tokens as they are written, what lies between them as SentencePiece decodes it.
  std::string decode(std::span<const i64> ids, bool skip_special_tokens) const override;

 private:
  SentencePieceTokenizer();
  void load(std::string model, const std::string& file);
  void read_added_tokens(const nlohmann::json& added_json, const nlohmann::json& config,
                         const std::string& source);
  void add_token(const AddedToken& token, const std::string& source);
  std::optional<i64> role(const nlohmann::json& config, const char* key, int of_model,
                          const std::string& source);
  void encode_text(std::string_view text, bool prefix, Encoding& out) const;

  std::unique_ptr<sentencepiece::SentencePieceProcessor> model_;
  i64 pieces_ = 0;            // of the model
  bool prefix_once_ = false;  // a space in front of the whole text, added here; else the model adds its own
  AddedTokens added_;
  std::vector<bool> is_added_;  // by id
  bool add_bos_ = true, add_eos_ = false;
};

}  // namespace longsight::data
