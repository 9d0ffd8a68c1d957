// Byte-level BPE tokenizers (GPT-2, Qwen2, Llama-3, SmolLM and their kind) in the Hugging Face file format.
//
// Token ids equal those of the library `tokenizers`: added tokens are split off, then normaliser,
// pre-tokenizer and merges run on what lies between them, then the post-processor adds its tokens. Not
// modelled, because they do not change ids: truncation, padding, offsets with trimmed spaces,
// clean_up_tokenization_spaces.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/base/number.h"
#include "runtime/data/pretokenize.h"
#include "runtime/data/unicode.h"

namespace longsight::data {

// The spans are bytes of the encoded text; a token that the post-processor added has an empty one.
struct Encoding {
  std::vector<i64> ids;
  std::vector<ByteSpan> spans;
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

class BpeTokenizer {
 public:
  // Reads FOLDER/tokenizer.json, and bos, eos and pad from tokenizer_config.json or special_tokens_map.json
  // if they are there. missing_input without tokenizer.json; bad_data for what is malformed or not supported,
  // by name.
  static BpeTokenizer from_folder(const std::filesystem::path& folder);
  // `tokenizer` is the content of a tokenizer.json, `config` that of a tokenizer_config.json (or an empty
  // object). `source` names the first in messages.
  BpeTokenizer(const nlohmann::json& tokenizer, const nlohmann::json& config, const std::string& source);

  // bad_data if `text` is not UTF-8.
  Encoding encode(std::string_view text, EncodeCache& cache, bool add_special_tokens = true) const;
  // Bytes that form no character become U+FFFD. bad_data for an id that no token has.
  std::string decode(std::span<const i64> ids, bool skip_special_tokens) const;

  i64 vocab_size() const {
    return static_cast<i64>(tokens_.size());
  }                                                        // largest id + 1; the model's may be larger
  std::optional<i64> id_of(std::string_view token) const;  // as written in the file: "<image>", "Ġthe"
  const std::string& token(i64 id) const;                  // empty for an id that no token has
  bool is_special(i64 id) const;

  std::optional<i64> bos() const { return bos_; }
  std::optional<i64> eos() const { return eos_; }
  std::optional<i64> pad() const { return pad_; }

  std::uint64_t fingerprint() const { return fingerprint_; }  // of everything that ids depend on

 private:
  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using IdMap = std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>>;

  struct AddedToken {
    std::string content;
    std::int32_t id = 0;
    bool special = false, single_word = false, lstrip = false, rstrip = false;
  };
  // Finds added tokens, leftmost and longest first.
  class Matcher {
   public:
    void add(std::string_view content, std::size_t index);  // `index` is what find gives back
    bool empty() const { return nodes_.size() == 1; }
    struct Match {
      std::size_t begin, end, index;
    };
    std::optional<Match> find(std::string_view text, std::size_t from) const;

   private:
    struct Node {
      std::vector<std::pair<char, std::uint32_t>> next;
      std::size_t index = static_cast<std::size_t>(-1);
    };
    std::vector<Node> nodes_ = std::vector<Node>(1);
    std::array<bool, 256> begins_{};
  };
  // Left and right token of a merge -> its rank and its result; open addressing.
  class MergeTable {
   public:
    struct Entry {
      std::uint64_t pair = ~std::uint64_t{0};
      std::uint32_t rank = 0;
      std::int32_t result = 0;
    };
    void build(const std::vector<Entry>& merges);  // of equal pairs the last counts
    const Entry* find(std::int32_t left, std::int32_t right) const;

   private:
    std::vector<Entry> entries_;
    std::uint64_t mask_ = 0;
  };

  void read_model(const nlohmann::json& model, const std::string& source);
  void read_added_tokens(const nlohmann::json& added, const std::string& source);
  void read_post_processor(const nlohmann::json& processor, const std::string& source);
  std::optional<i64> named_token(const nlohmann::json& config, const char* key) const;
  void set_token(std::int64_t id, const std::string& content, const std::string& source);

  struct Segment {
    ByteSpan span;
    std::optional<std::size_t> added;  // index into added_, or text
  };
  std::vector<Segment> split_added(std::string_view text, const Matcher& matcher) const;
  void encode_text(std::string_view text, EncodeCache& cache, Encoding& out) const;
  void encode_word(std::string_view word, std::vector<std::int32_t>& ids) const;
  void initial_symbols(std::string_view word, std::vector<std::int32_t>& ids) const;

  bool nfc_ = false;
  bool ignore_merges_ = false;
  std::optional<PreTokenizer> pretokenizer_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::optional<std::int32_t> unknown_;
  bool fuse_unknown_ = false;
  IdMap pieces_;                       // bytes of a piece -> id
  IdMap ids_;                          // token as written -> id
  std::vector<std::string> tokens_;    // as written
  std::vector<std::string> bytes_;     // what decode gives for it
  std::vector<std::uint32_t> widths_;  // bytes of text that a piece covers
  std::vector<bool> special_;
  MergeTable merges_;
  std::vector<AddedToken> added_;
  Matcher raw_, normalized_;  // indices into added_
  std::vector<std::int32_t> front_, back_;
  std::optional<i64> bos_, eos_, pad_;
  std::uint64_t fingerprint_ = 0;
};

// The GPT-2 byte alphabet, in which the pieces of a tokenizer.json are written: each byte has a printable
// character. Characters of well-formed `text` that are not in it: nothing.
std::optional<std::string> bytes_of_alphabet(std::string_view text);
std::string to_alphabet(std::string_view bytes);

}  // namespace longsight::data
