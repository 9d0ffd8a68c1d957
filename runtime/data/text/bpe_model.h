// The `model` of a tokenizer.json: the pieces and merges of a BPE.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/data/text/bpe_merges.h"
#include "runtime/data/text/vocabulary.h"

namespace longsight::data {

class BpeModel {
 public:
  enum class Alphabet {
    bytes,      // pieces are written in the GPT-2 byte alphabet
    characters  // pieces are written as they are (SentencePiece); what has no piece falls back to bytes
  };
  BpeModel() = default;
  // Puts the pieces into `vocabulary`. `source` names the file in messages. bad_data for what is malformed or
  // not supported.
  BpeModel(const nlohmann::json& model, Alphabet alphabet, Vocabulary& vocabulary, const std::string& source);

  // Appends the tokens of a word, which is what lies between two cuts of the pre-tokenizer. bad_data for a
  // byte or character that has neither a token nor an unk_token.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

  // How many bytes at the beginning of `text` the token covers, if the text there was encoded to it.
  i64 width(std::int32_t id, std::string_view text) const;

  // Whether a word with spaces (written as U+2581) may be cut in front of each one that follows another
  // character: the same tokens then come out of the parts, because no merge goes over such a place.
  bool splits_at_spaces() const { return splits_at_spaces_; }

 private:
  void read_options(const nlohmann::json& model, const std::string& source);
  void read_pieces(const nlohmann::json& model, Vocabulary& vocabulary, const std::string& source);
  void read_merges(const nlohmann::json& model, const Vocabulary& vocabulary, const std::string& source);
  std::int32_t symbol_of(char32_t c) const;
  void byte_symbols(std::string_view word, std::vector<std::int32_t>& ids) const;
  void character_symbols(std::string_view word, std::vector<std::int32_t>& ids) const;

  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  Alphabet alphabet_ = Alphabet::bytes;
  bool ignore_merges_ = false;
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  bool splits_at_spaces_ = false;
  std::optional<std::int32_t> unknown_;
  // What a piece covers in the text -> its id.
  std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>> pieces_;
  std::vector<std::uint32_t> widths_;         // by id: bytes of text that a piece covers
  std::array<std::int32_t, 256> byte_ids_{};  // of single bytes; -1: none
  std::vector<std::int32_t> symbols_;         // of single characters below U+10000; -1: none
  BpeMerges merges_;
};

}  // namespace longsight::data
