// Text as token ids and back, in whatever form a model folder has its tokenizer.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/data/text/pretokenize.h"
#include "runtime/data/text/unicode.h"
#include "runtime/data/text/vocabulary.h"

namespace longsight::data {

// The spans are bytes of the encoded text, ascending; a token that stands for nothing in it (BOS, a prefix
// space) has an empty one.
struct Encoding {
  std::vector<i64> ids;
  std::vector<ByteSpan> spans;
};

// Added tokens that are recognised at certain places of a text only: those of pictures, which a text may also
// speak of. Elsewhere what spells them is text, encoded as if these tokens had not been added.
struct PlacedTokens {
  std::span<const i64> ids = {};
  std::span<const ByteSpan> places = {};  // of the encoded text; ascending, disjoint
  // Another token, or one that ends within a place: a token that is looked for in normalised text may begin
  // with the space in front of it.
  bool allow(i64 id, ByteSpan at) const;
};

// Words and their tokens, remembered between calls. One object for each thread; a tokenizer itself is
// immutable. 2 MiB, whatever the text: a new word takes the place of an older one.
class EncodeCache {
 public:
  EncodeCache();

 private:
  friend class BpeTokenizer;
  static constexpr std::size_t kMostBytes = 22, kMostTokens = 10;
  struct Slot {  // one cache line
    std::uint8_t bytes = 0;
    std::uint8_t tokens = 0;
    std::array<char, kMostBytes> word{};
    std::array<std::int32_t, kMostTokens> ids{};
  };
  std::uint64_t fingerprint_ = 0;  // of the tokenizer whose words these are
  std::vector<Slot> slots_;
  // Scratch of one encode call.
  std::vector<Piece> pieces_;
  std::vector<std::int32_t> merged_;
  std::string prefixed_;
};

// Immutable; any number of threads, each with a cache of its own.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // bad_data if `text` is not UTF-8. Special and other added tokens that the text spells are found
  // everywhere, but for `placed`; `add_special_tokens` is about those that the tokenizer puts around it
  // (BOS).
  virtual Encoding encode(std::string_view text, EncodeCache& cache, bool add_special_tokens = true,
                          const PlacedTokens& placed = {}) const = 0;
  // Bytes that form no character become U+FFFD. bad_data for an id that no token has.
  virtual std::string decode(std::span<const i64> ids, bool skip_special_tokens) const = 0;

  i64 vocab_size() const { return vocabulary_.size(); }  // largest id + 1; the model's may be larger
  // As written in the file: "<image>", "Ġthe", "▁the".
  std::optional<i64> id_of(std::string_view token) const { return vocabulary_.id_of(token); }
  const std::string& token(i64 id) const { return vocabulary_.token(id); }  // empty for an id that none has
  bool is_special(i64 id) const { return vocabulary_.is_special(id); }

  std::optional<i64> bos() const { return bos_; }
  std::optional<i64> eos() const { return eos_; }
  std::optional<i64> pad() const { return pad_; }

  std::uint64_t fingerprint() const { return fingerprint_; }  // of everything that ids depend on

 protected:
  Tokenizer() = default;
  Tokenizer(Tokenizer&&) = default;
  void check_ids(std::span<const i64> ids) const;  // bad_data for one that is out of range

  Vocabulary vocabulary_;
  std::optional<i64> bos_, eos_, pad_;
  std::uint64_t fingerprint_ = 0;
};

// Of a Hugging Face folder: tokenizer.json (byte-level BPE and BPE with byte fallback) or, where there is
// none, tokenizer.model (SentencePiece), or vocab.json with merges.txt (byte-level BPE); beside them
// special_tokens_map.json and tokenizer_config.json. missing_input if none is there; bad_data for what is
// malformed or not supported, by name.
std::unique_ptr<Tokenizer> read_tokenizer(const std::filesystem::path& folder);
bool has_tokenizer(const std::filesystem::path& folder);  // whether there is anything to read

// special_tokens_map.json and over it tokenizer_config.json, as far as they are there, in one object.
nlohmann::json read_tokenizer_config(const std::filesystem::path& folder);
// The content of a named token: "bos_token": "<s>" or {"content": "<s>", ...}; nothing if absent or null.
std::optional<std::string> named_token(const nlohmann::json& config, const char* key);

}  // namespace longsight::data
