#include "runtime/data/text/bpe_model.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/data/text/unicode.h"

namespace longsight::data {

std::int32_t BpeModel::symbol_of(char32_t c) const {
  if (c < symbols_.size()) return symbols_[c];
  std::string text;
  append_utf8(text, c);
  const auto found = pieces_.find(text);
  return found == pieces_.end() ? -1 : found->second;
}

void BpeModel::byte_symbols(std::string_view word, std::vector<std::int32_t>& ids) const {
  bool after_unknown = false;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    const std::int32_t id = byte_ids_[byte];
    require(id >= 0 || unknown_.has_value(), ExitCode::bad_data,
            "the tokenizer has no token for byte 0x{:02X} and no unk_token", static_cast<int>(byte));
    if (id >= 0) {
      ids.push_back(id);
    } else if (!after_unknown || !fuse_unknown_) {
      ids.push_back(*unknown_);
    }
    after_unknown = id < 0;
  }
}

void BpeModel::character_symbols(std::string_view word, std::vector<std::int32_t>& ids) const {
  bool after_unknown = false;
  for (std::size_t at = 0; at < word.size();) {
    const CodePoint point = code_point(word.data() + at);
    const std::string_view character = word.substr(at, static_cast<std::size_t>(point.bytes));
    at += character.size();
    const std::int32_t id = symbol_of(point.value);
    if (id >= 0) {
      ids.push_back(id);
    } else if (byte_fallback_) {
      for (const char c : character) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    } else {
      require(unknown_.has_value(), ExitCode::bad_data,
              "the tokenizer has no token for U+{:04X}, no unk_token and no byte_fallback",
              static_cast<std::uint32_t>(point.value));
      if (!after_unknown || !fuse_unknown_) ids.push_back(*unknown_);
      after_unknown = true;
      continue;
    }
    after_unknown = false;
  }
}

void BpeModel::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = pieces_.find(word); whole != pieces_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  const std::size_t first = ids.size();
  if (alphabet_ == Alphabet::bytes) {
    byte_symbols(word, ids);
  } else {
    character_symbols(word, ids);
  }
  merges_.apply(ids, first);
}

i64 BpeModel::width(std::int32_t id, std::string_view text) const {
  if (id != unknown_) return widths_[static_cast<std::size_t>(id)];
  // One byte or character without a token or, fused, all that stand together.
  std::size_t at = 0;
  do {
    if (alphabet_ == Alphabet::bytes) {
      if (at > 0 && byte_ids_[static_cast<unsigned char>(text[at])] >= 0) break;
      ++at;
    } else {
      const CodePoint point = code_point(text.data() + at);
      if (at > 0 && symbol_of(point.value) >= 0) break;
      at += static_cast<std::size_t>(point.bytes);
    }
  } while (fuse_unknown_ && at < text.size());
  return static_cast<i64>(at);
}

}  // namespace longsight::data
