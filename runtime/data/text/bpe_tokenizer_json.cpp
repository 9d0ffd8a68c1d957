// Reading a BpeTokenizer.
#include <xxhash.h>

#include "runtime/data/text/added_tokens_json.h"
#include "runtime/data/text/bpe_tokenizer.h"
#include "runtime/data/text/tokenizer_json.h"

namespace longsight::data {

BpeTokenizer::BpeTokenizer(const Json& tokenizer, const Json& config, const std::string& source)
    : normalizer_(tokenizer.is_object() ? tokenizer.value("normalizer", Json()) : Json(), source),
      pretokenizer_(tokenizer.is_object() ? tokenizer.value("pre_tokenizer", Json()) : Json(), source) {
  require(tokenizer.is_object() && present(tokenizer, "model") != nullptr, ExitCode::bad_data,
          "{}: not a tokenizer.json (no model)", source);
  const bool bytes = pretokenizer_.byte_level();
  model_ = BpeModel(*present(tokenizer, "model"),
                    bytes ? BpeModel::Alphabet::bytes : BpeModel::Alphabet::characters, vocabulary_, source);
  if (const Json* decoder = present(tokenizer, "decoder")) {
    decoder_ = TokenDecoder(*decoder, source);
  } else if (bytes) {
    decoder_ = TokenDecoder::byte_level();
  }
  read_added_tokens(tokenizer, config, source);
  if (const Json* processor = present(tokenizer, "post_processor")) read_post_processor(*processor, source);

  const auto id_of_role = [&](const char* key) {
    const auto name = named_token(config, key);
    return name ? id_of(*name) : std::nullopt;
  };
  bos_ = id_of_role("bos_token");
  eos_ = id_of_role("eos_token");
  pad_ = id_of_role("pad_token");
  // Of files without a post-processor (vocab.json): see from_folder.
  if (config.contains("add_bos_token") || config.contains("add_eos_token")) {
    front_.clear(), back_.clear();
    if (flag(config, "add_bos_token", false, source) && bos_) front_.push_back(*bos_);
    if (flag(config, "add_eos_token", false, source) && eos_) back_.push_back(*eos_);
  }

  Json identity = tokenizer;
  for (const char* key : {"truncation", "padding", "version"}) identity.erase(key);
  for (const char* key :
       {"added_tokens_decoder", "add_bos_token", "add_eos_token", "bos_token", "eos_token"}) {
    identity["config"][key] = config.value(key, Json());
  }
  identity["config"]["special"] = special_tokens(config);
  const std::string text = identity.dump();
  fingerprint_ = XXH3_64bits(text.data(), text.size());
}

namespace {

// The first ByteLevel among a part and its members; null: none.
const Json* byte_level_of(const Json& part) {
  if (!part.is_object()) return nullptr;
  if (part.value("type", Json()) == "ByteLevel") return &part;
  const auto members = part.find("pretokenizers");
  if (members == part.end() || !members->is_array()) return nullptr;
  for (const Json& member : *members) {
    if (const Json* found = byte_level_of(member)) return found;
  }
  return nullptr;
}

// Classes of transformers that make the tokenizer anew take add_prefix_space from tokenizer_config.json; its
// general class leaves tokenizer.json as it is.
void check_prefix_space(const Json& tokenizer, const Json& config, const std::string& source) {
  const std::string made = named_token(config, "tokenizer_class").value_or("");
  if (present(config, "add_prefix_space") == nullptr || made == "PreTrainedTokenizerFast" ||
      made == "TokenizersBackend")
    return;
  const Json* pretokenizer = tokenizer.is_object() ? present(tokenizer, "pre_tokenizer") : nullptr;
  const Json* bytes = pretokenizer == nullptr ? nullptr : byte_level_of(*pretokenizer);
  if (bytes == nullptr) return;
  const bool asked = flag(config, "add_prefix_space", false, source),
             does = flag(*bytes, "add_prefix_space", true, source);
  require(
      asked == does, ExitCode::bad_data,
      "{}: ByteLevel has add_prefix_space = {}, and tokenizer_config.json says {}: give both the same value",
      source, does, asked);
}

}  // namespace

BpeTokenizer BpeTokenizer::from_folder(const std::filesystem::path& folder) {
  const std::string file = (folder / "tokenizer.json").string();
  const Json tokenizer = read_json_file(file, {.big_integers = true});
  Json config = read_tokenizer_config(folder);
  // As transformers 5 does: beside a tokenizer.json its post-processor alone says what stands around a text.
  for (const char* key : {"add_bos_token", "add_eos_token"}) config.erase(key);
  check_prefix_space(tokenizer, config, file);
  return BpeTokenizer(tokenizer, config, file);
}

void BpeTokenizer::read_added_tokens(const Json& tokenizer, const Json& config, const std::string& source) {
  AddedTokensById tokens;
  const Json* added = present(tokenizer, "added_tokens");
  require(added == nullptr || added->is_array(), ExitCode::bad_data, "{}: added_tokens is not a list",
          source);
  for (const Json& entry : added == nullptr ? Json::array() : *added) {
    const Json* id = entry.is_object() ? present(entry, "id") : nullptr;
    require(id != nullptr && id->is_number_integer() && present(entry, "content") != nullptr,
            ExitCode::bad_data, "{}: added token {} needs content and id", source, entry.dump());
    const i64 number = id->get<i64>();
    const AddedToken token = added_token_of(entry, number, source);
    const auto [known, fresh] = tokens.emplace(number, token);
    require(fresh || known->second.content == token.content, ExitCode::bad_data,
            "{}: added tokens {} and {} have the same id {}", source, Json(known->second.content).dump(),
            Json(token.content).dump(), number);
  }
  read_added_tokens_decoder(config, tokens, source);
  read_special_tokens(config, vocabulary_, tokens, source);
  for (const auto& [id, token] : tokens) add_token(token, source);
}

void BpeTokenizer::add_token(const AddedToken& token, const std::string& source) {
  if (token.content.empty()) return;
  vocabulary_.set(token.id, token.content, source);
  vocabulary_.mark_special(token.id, token.special);
  if (!token.normalized) {
    raw_.add(token, token.content);
    return;
  }
  // The library looks for the normalised text, and that is also what it decodes to.
  const NormalizedText normal = normalizer_(token.content);
  normalized_.add(token, normal.view());
  if (normal.view() != token.content) {
    written_.resize(static_cast<std::size_t>(vocabulary_.size()));
    written_[static_cast<std::size_t>(token.id)] = normal.view();
  }
}

void BpeTokenizer::read_post_processor(const Json& processor, const std::string& source) {
  const std::string type = type_of(processor, source);
  if (type == "ByteLevel") return;  // trims offsets only
  if (type == "Sequence") {
    for (const Json& part : members_of(processor, "processors", source + ": post_processor"))
      read_post_processor(part, source);
    return;
  }
  require(type == "TemplateProcessing", ExitCode::bad_data,
          "{}: post_processor type {} is not supported (ByteLevel, TemplateProcessing and Sequence are)",
          source, type);
  const Json* single = present(processor, "single");
  require(single != nullptr && single->is_array(), ExitCode::bad_data,
          "{}: TemplateProcessing without single", source);
  std::vector<i64> front, back;
  int sequences = 0;
  for (const Json& part : *single) {
    if (part.is_object() && part.contains("Sequence")) {
      ++sequences;
      continue;
    }
    const Json id = member_of(member_of(part, "SpecialToken"), "id");
    require(id.is_string(), ExitCode::bad_data, "{}: TemplateProcessing: {} is not understood", source,
            part.dump());
    const Json known = member_of(member_of(processor, "special_tokens"), id.get<std::string>());
    const Json ids = member_of(known, "ids");
    require(ids.is_array() && !ids.empty(), ExitCode::bad_data, "{}: TemplateProcessing: no ids for {}",
            source, id.dump());
    for (const Json& one : ids) {
      require(one.is_number_integer() && one.get<i64>() >= 0 && one.get<i64>() < vocab_size(),
              ExitCode::bad_data, "{}: TemplateProcessing: {} has the id {}, which no token has", source,
              id.dump(), one.dump());
      (sequences == 0 ? front : back).push_back(one.get<i64>());
    }
  }
  require(sequences == 1, ExitCode::bad_data,
          "{}: TemplateProcessing: single holds the text {} times, not once", source, sequences);
  // In a Sequence each one goes around what the others made.
  front_.insert(front_.begin(), front.begin(), front.end());
  back_.insert(back_.end(), back.begin(), back.end());
}

}  // namespace longsight::data
