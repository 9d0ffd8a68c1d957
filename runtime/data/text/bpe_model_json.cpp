// Reading a BpeModel.
#include "runtime/data/text/bpe_model.h"
#include "runtime/data/text/byte_alphabet.h"
#include "runtime/data/text/tokenizer_json.h"
#include "runtime/data/text/unicode.h"

namespace longsight::data {
namespace {

constexpr char32_t kSpaceCode = 0x2581;

struct MergePair {
  std::string left, right;
};

// ["a", "b"] or, the older form, "a b".
MergePair pair_of(const Json& merge, std::size_t index, const std::string& source) {
  if (merge.is_string()) {
    const std::string text = merge.get<std::string>();
    const std::size_t space = text.find(' ');
    require(space != std::string::npos && text.find(' ', space + 1) == std::string::npos, ExitCode::bad_data,
            "{}: merge {} ({}) is not a pair", source, index, merge.dump());
    return {text.substr(0, space), text.substr(space + 1)};
  }
  require(merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string(),
          ExitCode::bad_data, "{}: merge {} ({}) is not a pair", source, index, merge.dump());
  return {merge[0].get<std::string>(), merge[1].get<std::string>()};
}

// Whether a merge to `piece` goes over a place where a space begins.
bool holds_inner_space(const std::string& piece) {
  std::string mark;
  append_utf8(mark, kSpaceCode);
  for (std::size_t at = piece.find(mark, 1); at != std::string::npos; at = piece.find(mark, at + 1)) {
    if (last_code_point(std::string_view(piece).substr(0, at)).value != kSpaceCode) return true;
  }
  return false;
}

// 10 -> "<0x0A>"
std::string byte_token(int byte) {
  return fmt::format("<0x{:02X}>", byte);
}

}  // namespace

BpeModel::BpeModel(const Json& model, Alphabet alphabet, Vocabulary& vocabulary, const std::string& source)
    : alphabet_(alphabet) {
  read_options(model, source);
  read_pieces(model, vocabulary, source);
  read_merges(model, vocabulary, source);
}

void BpeModel::read_options(const Json& model, const std::string& source) {
  // Files of the first version have no type.
  const std::string type =
      model.is_object() && present(model, "type") == nullptr ? "BPE" : type_of(model, source);
  require(type == "BPE", ExitCode::bad_data, "{}: model type {} is not supported, only BPE", source, type);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* value = present(model, key);
    require(value == nullptr || *value == "", ExitCode::bad_data, "{}: model: {} {} is not supported", source,
            key, value == nullptr ? "" : value->dump());
  }
  const Json* dropout = present(model, "dropout");
  require(dropout == nullptr || *dropout == 0.0, ExitCode::bad_data, "{}: model: dropout {} is not supported",
          source, dropout == nullptr ? "" : dropout->dump());
  ignore_merges_ = flag(model, "ignore_merges", false, source);
  fuse_unknown_ = flag(model, "fuse_unk", false, source);
  byte_fallback_ = flag(model, "byte_fallback", false, source);
  require(!byte_fallback_ || alphabet_ == Alphabet::characters, ExitCode::bad_data,
          "{}: model: byte_fallback behind a ByteLevel pre_tokenizer is not supported", source);
}

void BpeModel::read_pieces(const Json& model, Vocabulary& vocabulary, const std::string& source) {
  const Json* vocab = present(model, "vocab");
  require(vocab != nullptr && vocab->is_object() && !vocab->empty(), ExitCode::bad_data,
          "{}: model: no vocab", source);
  pieces_.reserve(vocab->size());
  vocabulary.reserve(vocab->size());
  for (const auto& [piece, id] : vocab->items()) {
    require(!piece.empty() && id.is_number_integer(), ExitCode::bad_data,
            "{}: model: vocab: {}: {} is not a token id", source, Json(piece).dump(), id.dump());
    vocabulary.set(id.get<i64>(), piece, source);
  }
  widths_.resize(static_cast<std::size_t>(vocabulary.size()));
  for (const auto& [piece, id] : vocab->items()) {
    const auto covered = alphabet_ == Alphabet::bytes ? bytes_of_alphabet(piece) : std::optional(piece);
    widths_[id.get<std::size_t>()] = static_cast<std::uint32_t>(covered.value_or(piece).size());
    if (covered) pieces_.emplace(*covered, id.get<std::int32_t>());
  }
  const auto id_of = [this](const std::string& text) {
    const auto found = pieces_.find(text);
    return found == pieces_.end() ? -1 : found->second;
  };
  for (int byte = 0; byte < 256; ++byte) {
    std::int32_t& id = byte_ids_[static_cast<std::size_t>(byte)];
    id = id_of(byte_fallback_ ? byte_token(byte) : std::string(1, static_cast<char>(byte)));
    if (!byte_fallback_) continue;
    require(id >= 0, ExitCode::bad_data, "{}: model: byte_fallback, but {} is not in the vocab", source,
            byte_token(byte));
    widths_[static_cast<std::size_t>(id)] = 1;
  }
  if (alphabet_ == Alphabet::characters) {
    symbols_.assign(0x10000, -1);
    for (const auto& [text, id] : pieces_) {
      const CodePoint first = code_point(text.data());
      if (static_cast<std::size_t>(first.bytes) == text.size() && first.value < symbols_.size())
        symbols_[first.value] = id;
    }
  }
  if (const Json* unknown = present(model, "unk_token")) {
    const auto found =
        unknown->is_string() ? vocabulary.id_of(unknown->get<std::string>()) : std::optional<i64>();
    require(found.has_value(), ExitCode::bad_data, "{}: model: unk_token {} is not in the vocab", source,
            unknown->dump());
    unknown_ = static_cast<std::int32_t>(*found);
  }
}

void BpeModel::read_merges(const Json& model, const Vocabulary& vocabulary, const std::string& source) {
  const Json* merges = present(model, "merges");
  require(merges != nullptr && merges->is_array(), ExitCode::bad_data, "{}: model: no list of merges",
          source);
  splits_at_spaces_ = alphabet_ == Alphabet::characters && !ignore_merges_ && symbol_of(kSpaceCode) >= 0;
  std::vector<BpeMerges::Merge> list;
  list.reserve(merges->size());
  for (const Json& merge : *merges) {
    const std::size_t index = list.size();
    const MergePair pair = pair_of(merge, index, source);
    const auto id_of = [&](const std::string& piece) {
      const auto found = vocabulary.id_of(piece);
      require(found.has_value(), ExitCode::bad_data, "{}: merge {} ({}) needs {}, which is not in the vocab",
              source, index, merge.dump(), Json(piece).dump());
      return static_cast<std::int32_t>(*found);
    };
    list.push_back({id_of(pair.left), id_of(pair.right), static_cast<std::uint32_t>(index),
                    id_of(pair.left + pair.right)});
    if (holds_inner_space(pair.left + pair.right)) splits_at_spaces_ = false;
  }
  merges_.build(list);
}

}  // namespace longsight::data
