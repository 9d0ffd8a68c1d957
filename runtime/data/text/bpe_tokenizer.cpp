#include "runtime/data/text/bpe_tokenizer.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";

// Of at most 24 bytes.
std::uint64_t hash_word(std::string_view word) {
  const auto spread = [](std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
  };
  std::array<std::uint64_t, 3> parts{};
  std::memcpy(parts.data(), word.data(), word.size());
  return spread((parts[0] ^ spread(parts[1])) + (spread(parts[2] ^ word.size()) << 1));
}

std::string_view bytes_between(std::string_view text, i64 begin, i64 end) {
  return text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

// Calls f(begin, end) for the words of text[begin, end): each space mark behind another character begins one.
template <class F>
void for_each_word(std::string_view text, i64 begin, i64 end, F f) {
  std::size_t at = static_cast<std::size_t>(begin);
  const std::size_t stop = static_cast<std::size_t>(end);
  const std::string_view seen = text.substr(0, stop);
  while (at < stop) {
    std::size_t next = at;
    while (seen.substr(next).starts_with(kSpaceMark)) next += kSpaceMark.size();
    next = std::min(seen.find(kSpaceMark, next), stop);
    f(static_cast<i64>(at), static_cast<i64>(next));
    at = next;
  }
}

}  // namespace

Encoding BpeTokenizer::encode(std::string_view text, EncodeCache& cache, bool add_special_tokens,
                              const PlacedTokens& placed) const {
  const i64 bad = first_invalid_utf8(text);
  require(bad < 0, ExitCode::bad_data, "text is not UTF-8 at byte {}", bad);
  if (cache.fingerprint_ != fingerprint_) {
    cache.slots_.assign(cache.slots_.size(), {});
    cache.fingerprint_ = fingerprint_;
  }
  Encoding out;
  out.ids.reserve(text.size() / 4 + 4);
  out.spans.reserve(text.size() / 4 + 4);
  const auto add_fixed = [&out](const std::vector<i64>& ids, i64 at) {
    for (const i64 id : ids) {
      out.ids.push_back(id);
      out.spans.push_back({at, at});
    }
  };
  if (add_special_tokens) add_fixed(front_, 0);
  AddedTokens::Allowed allowed;
  if (!placed.ids.empty()) allowed = [&placed](i64 id, ByteSpan at) { return placed.allow(id, at); };
  for (const AddedTokens::Segment& segment : raw_.split(text, allowed)) {
    if (segment.id) {
      out.ids.push_back(*segment.id);
      out.spans.push_back(segment.span);
      continue;
    }
    const std::size_t from = out.spans.size();
    encode_segment(bytes_between(text, segment.span.begin, segment.span.end), segment.span.begin, placed,
                   cache, out);
    for (std::size_t i = from; i < out.spans.size(); ++i) {
      out.spans[i].begin += segment.span.begin;
      out.spans[i].end += segment.span.begin;
    }
  }
  if (add_special_tokens) add_fixed(back_, static_cast<i64>(text.size()));
  return out;
}

// Text between added tokens of the first kind, which begins at byte `begin` of the whole. Spans count from
// its own beginning.
void BpeTokenizer::encode_segment(std::string_view text, i64 begin, const PlacedTokens& placed,
                                  EncodeCache& cache, Encoding& out) const {
  const NormalizedText normal = normalizer_(text);
  const std::size_t first = out.spans.size();
  AddedTokens::Allowed allowed;
  if (!placed.ids.empty()) {
    allowed = [&](i64 id, ByteSpan at) {
      normal.to_source(std::span(&at, 1));
      return placed.allow(id, {at.begin + begin, at.end + begin});
    };
  }
  for (const AddedTokens::Segment& inner : normalized_.split(normal.view(), allowed)) {
    const std::size_t from = out.spans.size();
    if (inner.id) {
      out.ids.push_back(*inner.id);
      out.spans.push_back(inner.span);
      continue;
    }
    NormalizedText part(bytes_between(normal.view(), inner.span.begin, inner.span.end));
    if (const auto& metaspace = pretokenizer_.metaspace()) {
      MappedText spaced = replace_all(part.view(), " ", metaspace->space, most_rewritten(part.view().size()));
      const bool wanted =
          metaspace->prefix == Metaspace::Prefix::always ||
          (metaspace->prefix == Metaspace::Prefix::first && begin == 0 && inner.span.begin == 0);
      const bool prefix = wanted && !spaced.text().starts_with(metaspace->space);
      part.then(std::move(spaced));
      if (prefix) {
        MappedText with;
        with.replace(0, metaspace->space);
        with.keep(part.view());
        part.then(std::move(with));
      }
    }
    encode_pieces(part.view(), cache, out);
    const std::span<ByteSpan> fresh = std::span(out.spans).subspan(from);
    part.to_source(fresh);
    for (ByteSpan& span : fresh) span = {span.begin + inner.span.begin, span.end + inner.span.begin};
  }
  normal.to_source(std::span(out.spans).subspan(first));
}

void BpeTokenizer::encode_pieces(std::string_view text, EncodeCache& cache, Encoding& out) const {
  pretokenizer_.split(text, cache.pieces_);
  for (const Piece& piece : cache.pieces_) {
    if (!model_.splits_at_spaces()) {
      encode_word(text, piece, cache, out);
      continue;
    }
    for_each_word(text, piece.begin, piece.end, [&](i64 begin, i64 end) {
      encode_word(text, {begin, end, false}, cache, out);
    });
  }
}

void BpeTokenizer::encode_word(std::string_view text, const Piece& piece, EncodeCache& cache,
                               Encoding& out) const {
  std::string_view word = bytes_between(text, piece.begin, piece.end);
  if (piece.prefixed) word = cache.prefixed_.assign(1, ' ').append(word);

  const auto emit = [&](const std::int32_t* ids, std::size_t count) {
    i64 at = 0;  // in the word
    const i64 shift = piece.begin - (piece.prefixed ? 1 : 0);
    for (std::size_t i = 0; i < count; ++i) {
      const i64 begin = std::max(at + shift, piece.begin);
      at += model_.width(ids[i], word.substr(static_cast<std::size_t>(at)));
      out.ids.push_back(ids[i]);
      out.spans.push_back({begin, std::max(at + shift, piece.begin)});
    }
  };
  EncodeCache::Slot* slot = nullptr;
  if (word.size() <= EncodeCache::kMostBytes) {
    slot = &cache.slots_[hash_word(word) & (cache.slots_.size() - 1)];
    if (slot->bytes == word.size() && word == std::string_view(slot->word.data(), slot->bytes)) {
      return emit(slot->ids.data(), slot->tokens);
    }
  }
  cache.merged_.clear();
  model_.encode(word, cache.merged_);
  emit(cache.merged_.data(), cache.merged_.size());
  if (slot != nullptr && cache.merged_.size() <= EncodeCache::kMostTokens) {
    slot->bytes = static_cast<std::uint8_t>(word.size());
    slot->tokens = static_cast<std::uint8_t>(cache.merged_.size());
    std::copy(word.begin(), word.end(), slot->word.begin());
    std::copy(cache.merged_.begin(), cache.merged_.end(), slot->ids.begin());
  }
}

std::string BpeTokenizer::decode(std::span<const i64> ids, bool skip_special_tokens) const {
  check_ids(ids);
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const i64 id : ids) {
    if (skip_special_tokens && is_special(id)) continue;
    const auto at = static_cast<std::size_t>(id);
    tokens.push_back(at < written_.size() && !written_[at].empty() ? written_[at] : token(id));
  }
  return decoder_(std::move(tokens));
}

}  // namespace longsight::data
