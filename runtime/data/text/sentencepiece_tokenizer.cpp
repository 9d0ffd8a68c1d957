#include "runtime/data/text/sentencepiece_tokenizer.h"

#include <algorithm>

#include <sentencepiece_processor.h>
#include <xxhash.h>

#include "runtime/data/text/added_tokens_json.h"
#include "runtime/data/text/sentencepiece_check.h"
#include "runtime/data/text/tokenizer_json.h"

namespace longsight::data {
namespace {

namespace fs = std::filesystem;

constexpr i64 kMostModelBytes = i64{256} << 20;

// Read behind a serialised ModelProto: its normalizer_spec with add_dummy_prefix off. (Of two values of one
// field the later one counts, and messages are merged.)
constexpr std::string_view kNoPrefix("\x1A\x02\x18\x00", 4);

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer()
    : model_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {}
SentencePieceTokenizer::~SentencePieceTokenizer() = default;
SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceTokenizer&&) noexcept = default;

SentencePieceTokenizer SentencePieceTokenizer::from_folder(const fs::path& folder) {
  const std::string file = (folder / "tokenizer.model").string();
  const Json config = read_tokenizer_config(folder);
  const std::string source = (folder / "tokenizer_config.json").string();
  const fs::path added_file = folder / "added_tokens.json";
  const Json added = fs::exists(added_file) ? read_json_file(added_file.string()) : Json::object();

  SentencePieceTokenizer tokenizer;
  tokenizer.prefix_once_ =
      !flag(config, "legacy", true, source) && flag(config, "add_prefix_space", true, source);
  std::string model = read_whole_file(file, kMostModelBytes, ExitCode::bad_data);
  Json identity = {{"model", XXH3_64bits(model.data(), model.size())}, {"added", added}, {"config", config}};
  identity["config"].erase("chat_template");
  const std::string text = identity.dump();
  tokenizer.fingerprint_ = XXH3_64bits(text.data(), text.size());

  if (!flag(config, "legacy", true, source)) model += kNoPrefix;
  tokenizer.load(std::move(model), file);
  tokenizer.read_added_tokens(added, config, source);
  tokenizer.add_bos_ = flag(config, "add_bos_token", true, source) && tokenizer.bos_;
  tokenizer.add_eos_ = flag(config, "add_eos_token", false, source) && tokenizer.eos_;
  return tokenizer;
}

void SentencePieceTokenizer::load(std::string model, const std::string& file) {
  require_sound_model(model, file);
  try {
    const auto status = model_->LoadFromSerializedProto(model);
    require(status.ok(), ExitCode::bad_data, "{}: not a SentencePiece model ({})", file, status.ToString());
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // of the library's double array
    fail(ExitCode::bad_data, "{}: not a SentencePiece model ({})", file, error.what());
  }
  pieces_ = model_->GetPieceSize();
  vocabulary_.reserve(static_cast<std::size_t>(pieces_));
  for (int id = 0; id < static_cast<int>(pieces_); ++id) {
    const std::string& piece = model_->IdToPiece(id);
    require(!piece.empty() && first_invalid_utf8(piece) < 0, ExitCode::bad_data,
            "{}: piece {} is empty or not UTF-8", file, id);
    vocabulary_.set(id, piece, file);
    if (model_->IsControl(id) || model_->IsUnknown(id)) vocabulary_.mark_special(id, true);
  }
}

void SentencePieceTokenizer::read_added_tokens(const Json& added_json, const Json& config,
                                               const std::string& source) {
  require(added_json.is_object(), ExitCode::bad_data, "{}: added_tokens.json is not an object", source);
  AddedTokensById tokens;
  for (const auto& [content, id] : added_json.items()) {
    require(id.is_number_integer(), ExitCode::bad_data, "{}: added_tokens.json: {}: {} is not a token id",
            source, Json(content).dump(), id.dump());
    tokens[id.get<i64>()] = {.content = content, .id = id.get<i64>()};
  }
  read_added_tokens_decoder(config, tokens, source);
  for (const auto& [id, token] : tokens) add_token(token, source);

  bos_ = role(config, "bos_token", model_->bos_id(), source);
  eos_ = role(config, "eos_token", model_->eos_id(), source);
  role(config, "unk_token", model_->unk_id(), source);
  pad_ = role(config, "pad_token", model_->pad_id(), source);
  for (const Json& more : config.value("additional_special_tokens", Json::array())) {
    role({{"token", more}}, "token", -1, source);
  }
}

void SentencePieceTokenizer::add_token(const AddedToken& token, const std::string& source) {
  if (token.content.empty()) return;
  vocabulary_.set(token.id, token.content, source);
  vocabulary_.mark_special(token.id, token.special);
  added_.add(token, token.content);
  is_added_.resize(static_cast<std::size_t>(vocabulary_.size()));
  is_added_[static_cast<std::size_t>(token.id)] = true;
}

// A named token is a special one, and split off like an added one.
std::optional<i64> SentencePieceTokenizer::role(const Json& config, const char* key, int of_model,
                                                const std::string& source) {
  std::optional<i64> id;
  if (const auto name = named_token(config, key)) {
    id = id_of(*name);
    require(id.has_value(), ExitCode::bad_data,
            "{}: {} {} is neither in tokenizer.model nor an added token; give it an id in added_tokens.json",
            source, key, Json(*name).dump());
  } else if (of_model >= 0 && !config.contains(key)) {
    id = of_model;
  }
  if (!id) return std::nullopt;
  is_added_.resize(static_cast<std::size_t>(vocabulary_.size()));
  if (is_added_[static_cast<std::size_t>(*id)]) {
    vocabulary_.mark_special(*id, true);
  } else {
    add_token({.content = token(*id), .id = *id, .special = true}, source);
  }
  return id;
}

Encoding SentencePieceTokenizer::encode(std::string_view text, EncodeCache&, bool add_special_tokens,
                                        const PlacedTokens& placed) const {
  const i64 bad = first_invalid_utf8(text);
  require(bad < 0, ExitCode::bad_data, "text is not UTF-8 at byte {}", bad);
  Encoding out;
  out.ids.reserve(text.size() / 3 + 4);
  out.spans.reserve(text.size() / 3 + 4);
  const auto add = [&out](i64 id, ByteSpan span) {
    out.ids.push_back(id);
    out.spans.push_back(span);
  };
  if (add_special_tokens && add_bos_) add(*bos_, {0, 0});
  AddedTokens::Allowed allowed;
  if (!placed.ids.empty()) allowed = [&placed](i64 id, ByteSpan at) { return placed.allow(id, at); };
  for (const AddedTokens::Segment& segment : added_.split(text, allowed)) {
    if (segment.id) {
      add(*segment.id, segment.span);
      continue;
    }
    const std::size_t from = out.spans.size();
    const auto begin = static_cast<std::size_t>(segment.span.begin);
    encode_text(text.substr(begin, static_cast<std::size_t>(segment.span.end) - begin),
                prefix_once_ && begin == 0, out);
    for (std::size_t i = from; i < out.spans.size(); ++i) {
      out.spans[i].begin += segment.span.begin;
      out.spans[i].end += segment.span.begin;
    }
  }
  const i64 end = static_cast<i64>(text.size());
  if (add_special_tokens && add_eos_) add(*eos_, {end, end});
  return out;
}

// Text without added tokens. Spans count from its beginning.
void SentencePieceTokenizer::encode_text(std::string_view text, bool prefix, Encoding& out) const {
  std::string with_prefix;
  if (prefix) with_prefix = std::string(" ").append(text);
  sentencepiece::ImmutableSentencePieceText encoded;
  const auto status = model_->Encode(prefix ? std::string_view(with_prefix) : text, encoded.mutable_proto());
  require(status.ok(), ExitCode::bad_data, "SentencePiece: {}", status.ToString());
  const i64 shift = prefix ? 1 : 0;
  const auto place = [shift](i64 at) { return std::max<i64>(at - shift, 0); };
  // Of the bytes of a character that has no piece, the last one comes with its place.
  std::size_t waiting = 0;
  for (const auto& piece : encoded.pieces()) {
    out.ids.push_back(piece.id());
    out.spans.push_back({place(piece.begin()), place(piece.end())});
    if (!model_->IsByte(static_cast<int>(piece.id()))) continue;
    ++waiting;
    if (piece.begin() == piece.end()) continue;
    const ByteSpan whole = out.spans.back();
    const bool one_each = whole.end - whole.begin == static_cast<i64>(waiting);  // not if it was normalised
    for (std::size_t i = 0; i < waiting; ++i) {
      const i64 at = whole.begin + static_cast<i64>(i);
      out.spans[out.spans.size() - waiting + i] = one_each ? ByteSpan{at, at + 1} : whole;
    }
    waiting = 0;
  }
}

std::string SentencePieceTokenizer::decode(std::span<const i64> ids, bool skip_special_tokens) const {
  check_ids(ids);
  std::string text;
  std::vector<int> run;
  bool at_front = true;
  const auto flush = [&] {
    if (run.empty()) return;
    std::string part;
    const auto status = model_->Decode(run, &part);
    require(status.ok(), ExitCode::bad_data, "SentencePiece: {}", status.ToString());
    if (prefix_once_ && at_front && part.starts_with(' ')) part.erase(0, 1);
    text += part;
    run.clear();
    at_front = false;
  };
  for (const i64 id : ids) {
    const auto at = static_cast<std::size_t>(id);
    if (at < is_added_.size() && is_added_[at]) {
      flush();
      at_front = at_front && id == bos_;
      if (skip_special_tokens && is_special(id)) continue;
      text += token(id);
    } else if (id < pieces_) {
      run.push_back(static_cast<int>(id));
    }
  }
  flush();
  return replace_invalid_utf8(text);
}

}  // namespace longsight::data
