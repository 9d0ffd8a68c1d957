#include "runtime/data/text/tokenizer.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/base/json.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "runtime/data/text/sentencepiece_tokenizer.h"
#include "runtime/data/text/tokenizer_json.h"
#include "runtime/data/text/vocab_files.h"

namespace longsight::data {

namespace fs = std::filesystem;

EncodeCache::EncodeCache() : slots_(std::size_t{1} << 15) {}

bool PlacedTokens::allow(i64 id, ByteSpan at) const {
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) return true;
  const auto behind = std::partition_point(places.begin(), places.end(),
                                           [&](const ByteSpan& place) { return place.end < at.end; });
  return behind != places.end() && behind->begin < at.end;
}

void Tokenizer::check_ids(std::span<const i64> ids) const {
  for (const i64 id : ids) {
    require(id >= 0 && id < vocab_size(), ExitCode::bad_data,
            "no token has the id {} (the vocabulary holds {})", id, vocab_size());
  }
}

Json read_tokenizer_config(const fs::path& folder) {
  Json config = Json::object();
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {  // the second wins
    if (!fs::exists(folder / name)) continue;
    const Json more = read_json_file((folder / name).string(), {.big_integers = true});
    require(more.is_object(), ExitCode::bad_data, "{}: not a JSON object", (folder / name).string());
    config.update(more);
  }
  return config;
}

std::optional<std::string> named_token(const Json& config, const char* key) {
  Json value = config.is_object() ? config.value(key, Json()) : Json();
  if (value.is_object()) value = value.value("content", Json());
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

bool has_tokenizer(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.json") || fs::exists(folder / "tokenizer.model") ||
         has_vocab_files(folder);
}

std::unique_ptr<Tokenizer> read_tokenizer(const fs::path& folder) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such folder", folder.string());
  require(
      !flag(read_tokenizer_config(folder), "split_special_tokens", false, folder.string()),
      ExitCode::bad_data,
      "{}: split_special_tokens = true in tokenizer_config.json is not supported: special tokens that a text "
      "spells are these tokens; take the key out",
      folder.string());
  if (fs::exists(folder / "tokenizer.json")) {
    return std::make_unique<BpeTokenizer>(BpeTokenizer::from_folder(folder));
  }
  if (fs::exists(folder / "tokenizer.model"))
    return std::make_unique<SentencePieceTokenizer>(SentencePieceTokenizer::from_folder(folder));
  require(
      has_vocab_files(folder), ExitCode::missing_input,
      "{}: no tokenizer.json, no vocab.json with merges.txt and no tokenizer.model; copy the tokenizer of "
      "the model there, or learn one: longsight data tokenizer --vocab N FILE.jsonl --out DIR",
      folder.string());
  const VocabFiles files = read_vocab_files(folder);
  return std::make_unique<BpeTokenizer>(files.tokenizer, files.config, (folder / "vocab.json").string());
}

}  // namespace longsight::data
