#include "runtime/data/bpe_tokenizer.h"

#include <algorithm>
#include <cstring>
#include <queue>

#include <xxhash.h>

#include "runtime/base/error.h"
#include "runtime/base/json.h"

namespace longsight::data {
namespace {

constexpr std::int32_t kNone = -1;
constexpr i64 kMostIds = i64{1} << 24;

// Bytes that stand for themselves; the others are written as U+0100, U+0101, ... in order.
bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> letters{};
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    letters[static_cast<std::size_t>(byte)] = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return letters;
}

// The value of `key`, or nothing where it is absent or null.
const Json* present(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool boolean(const Json& object, const char* key, const std::string& source, bool otherwise = false) {
  const Json* value = present(object, key);
  if (value == nullptr) return otherwise;
  require(value->is_boolean(), ExitCode::bad_data, "{}: {} is {}, not true or false", source, key,
          value->dump());
  return value->get<bool>();
}

std::string type_of(const Json& component, const std::string& source) {
  const auto type = component.is_object() ? component.find("type") : component.end();
  require(component.is_object() && type != component.end() && type->is_string(), ExitCode::bad_data,
          "{}: {} has no type", source, component.dump());
  return type->get<std::string>();
}

}  // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view text) {
  // U+0100 + i stands for the i-th of the bytes that do not stand for themselves.
  std::array<char, 68> shifted{};
  std::size_t count = 0;
  for (int byte = 0; byte < 256; ++byte) {
    if (!stands_for_itself(byte)) shifted[count++] = static_cast<char>(byte);
  }
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point(text.data() + at);
    at += static_cast<std::size_t>(point.bytes);
    if (point.value < 256 && stands_for_itself(static_cast<int>(point.value))) {
      bytes.push_back(static_cast<char>(point.value));
    } else if (point.value >= 256 && point.value < 256 + shifted.size()) {
      bytes.push_back(shifted[point.value - 256]);
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

std::string to_alphabet(std::string_view bytes) {
  const auto letters = byte_alphabet();
  std::string text;
  for (const char byte : bytes) append_utf8(text, letters[static_cast<unsigned char>(byte)]);
  return text;
}

EncodeCache::EncodeCache() : slots_(std::size_t{1} << 15) {}

// ---- added tokens ----

void BpeTokenizer::Matcher::add(std::string_view content, std::size_t index) {
  begins_[static_cast<unsigned char>(content.front())] = true;
  std::uint32_t node = 0;
  for (const char byte : content) {
    auto& next = nodes_[node].next;
    const auto found =
        std::find_if(next.begin(), next.end(), [byte](const auto& edge) { return edge.first == byte; });
    if (found != next.end()) {
      node = found->second;
    } else {
      const auto fresh = static_cast<std::uint32_t>(nodes_.size());
      next.emplace_back(byte, fresh);
      nodes_.emplace_back();
      node = fresh;
    }
  }
  if (nodes_[node].index == static_cast<std::size_t>(-1)) nodes_[node].index = index;
}

std::optional<BpeTokenizer::Matcher::Match> BpeTokenizer::Matcher::find(std::string_view text,
                                                                        std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    std::uint32_t node = 0;
    for (std::size_t at = begin; at < text.size(); ++at) {
      const auto& next = nodes_[node].next;
      const auto edge =
          std::find_if(next.begin(), next.end(), [&](const auto& e) { return e.first == text[at]; });
      if (edge == next.end()) break;
      node = edge->second;
      if (nodes_[node].index != static_cast<std::size_t>(-1))
        longest = Match{begin, at + 1, nodes_[node].index};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

std::vector<BpeTokenizer::Segment> BpeTokenizer::split_added(std::string_view text,
                                                             const Matcher& matcher) const {
  std::vector<Segment> segments;
  const auto push = [&segments](std::size_t begin, std::size_t end, std::optional<std::size_t> added) {
    if (begin < end || added) segments.push_back({{static_cast<i64>(begin), static_cast<i64>(end)}, added});
  };
  const auto is_word = [](CodePoint point) { return (class_of(point.value) & kWord) != 0; };
  const auto is_space = [](CodePoint point) { return (class_of(point.value) & kSpace) != 0; };
  std::size_t done = 0;
  for (std::size_t from = 0; !matcher.empty();) {
    const auto match = matcher.find(text, from);
    if (!match) break;
    from = match->end;
    const AddedToken& token = added_[match->index];
    auto [begin, end, index] = *match;
    if (token.single_word && ((begin > 0 && is_word(last_code_point(text.substr(0, begin)))) ||
                              (end < text.size() && is_word(code_point(text.data() + end))))) {
      continue;
    }
    if (token.lstrip) {
      while (begin > done && is_space(last_code_point(text.substr(0, begin)))) {
        begin -= static_cast<std::size_t>(last_code_point(text.substr(0, begin)).bytes);
      }
    }
    if (token.rstrip) {
      while (end < text.size() && is_space(code_point(text.data() + end))) {
        end += static_cast<std::size_t>(code_point(text.data() + end).bytes);
      }
    }
    begin = std::max(begin, done);
    push(done, begin, std::nullopt);
    push(begin, end, index);
    done = end;
    from = std::max(from, end);
  }
  push(done, text.size(), std::nullopt);
  return segments;
}

// ---- merges ----

namespace {
std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}
std::uint64_t spread(std::uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return key ^ key >> 32;
}

// Of at most 24 bytes.
std::uint64_t hash_word(std::string_view word) {
  std::array<std::uint64_t, 3> parts{};
  std::memcpy(parts.data(), word.data(), word.size());
  return spread((parts[0] ^ spread(parts[1])) + (spread(parts[2] ^ word.size()) << 1));
}
}  // namespace

void BpeTokenizer::MergeTable::build(const std::vector<Entry>& merges) {
  std::size_t size = 16;
  while (size < 2 * merges.size()) size *= 2;
  entries_.assign(size, Entry{});
  mask_ = size - 1;
  for (const Entry& merge : merges) {
    std::uint64_t at = spread(merge.pair) & mask_;
    while (entries_[at].pair != ~std::uint64_t{0} && entries_[at].pair != merge.pair) at = (at + 1) & mask_;
    entries_[at] = merge;
  }
}

const BpeTokenizer::MergeTable::Entry* BpeTokenizer::MergeTable::find(std::int32_t left,
                                                                      std::int32_t right) const {
  const std::uint64_t pair = pair_key(left, right);
  for (std::uint64_t at = spread(pair) & mask_;; at = (at + 1) & mask_) {
    if (entries_[at].pair == pair) return &entries_[at];
    if (entries_[at].pair == ~std::uint64_t{0}) return nullptr;
  }
}

void BpeTokenizer::initial_symbols(std::string_view word, std::vector<std::int32_t>& ids) const {
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    std::int32_t id = byte_ids_[byte];
    if (id == kNone) {
      require(unknown_.has_value(), ExitCode::bad_data,
              "the tokenizer has no token for byte 0x{:02X} and no unk_token", static_cast<int>(byte));
      id = *unknown_;
    }
    ids.push_back(id);
  }
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = pieces_.find(word); whole != pieces_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  const std::size_t first = ids.size();
  initial_symbols(word, ids);
  std::size_t count = ids.size() - first;
  std::int32_t* symbols = ids.data() + first;

  // Short pieces: the best pair by a linear scan.
  constexpr std::size_t kShort = 48;
  if (count <= kShort) {
    std::array<const MergeTable::Entry*, kShort> merge{};  // merge[i] joins symbols i and i + 1
    for (std::size_t i = 0; i + 1 < count; ++i) merge[i] = merges_.find(symbols[i], symbols[i + 1]);
    for (;;) {
      const MergeTable::Entry* best = nullptr;
      std::size_t at = 0;
      for (std::size_t i = 0; i + 1 < count; ++i) {
        if (merge[i] != nullptr && (best == nullptr || merge[i]->rank < best->rank)) best = merge[i], at = i;
      }
      if (best == nullptr) break;
      symbols[at] = best->result;
      --count;
      for (std::size_t i = at + 1; i < count; ++i) symbols[i] = symbols[i + 1], merge[i] = merge[i + 1];
      if (at > 0) merge[at - 1] = merges_.find(symbols[at - 1], symbols[at]);
      if (at + 1 < count) merge[at] = merges_.find(symbols[at], symbols[at + 1]);
    }
    ids.resize(first + count);
    return;
  }

  // Long ones: a linked list of symbols and a heap of merges, in which outdated entries stay until they come
  // up.
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t left;  // its position
    std::int32_t left_id, right_id, result;
    bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };
  std::vector<std::uint32_t> next(count), previous(count);
  std::priority_queue<Candidate> heap;
  const auto size = narrow<std::uint32_t>(count);
  const auto consider = [&](std::uint32_t left) {
    const std::uint32_t right = next[left];
    if (right == size) return;
    const MergeTable::Entry* merge = merges_.find(symbols[left], symbols[right]);
    if (merge != nullptr) heap.push({merge->rank, left, symbols[left], symbols[right], merge->result});
  };
  for (std::uint32_t i = 0; i < size; ++i) next[i] = i + 1, previous[i] = i - 1;
  for (std::uint32_t i = 0; i < size; ++i) consider(i);
  while (!heap.empty()) {
    const Candidate top = heap.top();
    heap.pop();
    const std::uint32_t right = symbols[top.left] == top.left_id ? next[top.left] : size;
    if (right == size || symbols[right] != top.right_id) continue;
    symbols[top.left] = top.result;
    symbols[right] = kNone;
    next[top.left] = next[right];
    if (next[right] != size) previous[next[right]] = top.left;
    if (top.left != 0) consider(previous[top.left]);
    consider(top.left);
  }
  ids.erase(std::remove(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end(), kNone), ids.end());
}

void BpeTokenizer::encode_text(std::string_view text, EncodeCache& cache, Encoding& out) const {
  pretokenizer_->split(text, cache.pieces_);
  for (const Piece& piece : cache.pieces_) {
    std::string_view word =
        text.substr(static_cast<std::size_t>(piece.begin), static_cast<std::size_t>(piece.end - piece.begin));
    if (piece.prefixed) word = cache.prefixed_.assign(1, ' ').append(word);

    i64 at = piece.begin - (piece.prefixed ? 1 : 0);
    const auto emit = [&](const std::int32_t* ids, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        const i64 begin = std::max(at, piece.begin);
        at += widths_[static_cast<std::size_t>(ids[i])];
        out.ids.push_back(ids[i]);
        out.spans.push_back({begin, std::max(at, piece.begin)});
      }
    };
    EncodeCache::Slot* slot = nullptr;
    if (word.size() <= EncodeCache::kMostBytes) {
      slot = &cache.slots_[hash_word(word) & (cache.slots_.size() - 1)];
      if (slot->bytes == word.size() && word == std::string_view(slot->word.data(), slot->bytes)) {
        emit(slot->ids.data(), slot->tokens);
        continue;
      }
    }
    cache.merged_.clear();
    encode_word(word, cache.merged_);
    if (fuse_unknown_ && unknown_) {  // neighbours become one token, which covers them all
      std::vector<std::int32_t>& ids = cache.merged_;
      std::size_t count = 0;
      for (std::size_t i = 0; i < ids.size();) {
        const i64 begin = std::max(at, piece.begin);
        const std::int32_t id = ids[i];
        do at += widths_[static_cast<std::size_t>(ids[i++])];
        while (id == *unknown_ && i < ids.size() && ids[i] == id);
        out.ids.push_back(id);
        out.spans.push_back({begin, std::max(at, piece.begin)});
        ++count;
      }
      continue;
    }
    emit(cache.merged_.data(), cache.merged_.size());
    if (slot != nullptr && cache.merged_.size() <= EncodeCache::kMostTokens) {
      slot->bytes = static_cast<std::uint8_t>(word.size());
      slot->tokens = static_cast<std::uint8_t>(cache.merged_.size());
      std::copy(word.begin(), word.end(), slot->word.begin());
      std::copy(cache.merged_.begin(), cache.merged_.end(), slot->ids.begin());
    }
  }
}

Encoding BpeTokenizer::encode(std::string_view text, EncodeCache& cache, bool add_special_tokens) const {
  const i64 bad = first_invalid_utf8(text);
  require(bad < 0, ExitCode::bad_data, "text is not UTF-8 at byte {}", bad);
  if (cache.fingerprint_ != fingerprint_) {
    cache.slots_.assign(cache.slots_.size(), {});
    cache.fingerprint_ = fingerprint_;
  }
  Encoding out;
  out.ids.reserve(text.size() / 4 + 4);
  out.spans.reserve(text.size() / 4 + 4);
  const auto add_fixed = [&out](const std::vector<std::int32_t>& ids, i64 at) {
    for (const std::int32_t id : ids) {
      out.ids.push_back(id);
      out.spans.push_back({at, at});
    }
  };
  if (add_special_tokens) add_fixed(front_, 0);
  for (const Segment& segment : split_added(text, raw_)) {
    if (segment.added) {
      out.ids.push_back(added_[*segment.added].id);
      out.spans.push_back(segment.span);
      continue;
    }
    std::string_view part = text.substr(static_cast<std::size_t>(segment.span.begin),
                                        static_cast<std::size_t>(segment.span.end - segment.span.begin));
    std::optional<NfcText> nfc;
    if (nfc_ &&
        std::any_of(part.begin(), part.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xCC; })) {
      nfc.emplace(part);  // below U+0300 (lead byte 0xCC) nothing changes
      part = nfc->text();
    }
    for (const Segment& inner : split_added(part, normalized_)) {
      const std::size_t begin = static_cast<std::size_t>(inner.span.begin);
      const std::size_t from = out.spans.size();
      if (inner.added) {
        out.ids.push_back(added_[*inner.added].id);
        out.spans.push_back({0, inner.span.end - inner.span.begin});
      } else {
        encode_text(part.substr(begin, static_cast<std::size_t>(inner.span.end) - begin), cache, out);
      }
      for (std::size_t i = from; i < out.spans.size(); ++i) {
        ByteSpan span{out.spans[i].begin + inner.span.begin, out.spans[i].end + inner.span.begin};
        if (nfc) span = nfc->source(span);
        out.spans[i] = {span.begin + segment.span.begin, span.end + segment.span.begin};
      }
    }
  }
  if (add_special_tokens) add_fixed(back_, static_cast<i64>(text.size()));
  return out;
}

std::string BpeTokenizer::decode(std::span<const i64> ids, bool skip_special_tokens) const {
  std::string bytes;
  for (const i64 id : ids) {
    require(id >= 0 && id < vocab_size(), ExitCode::bad_data,
            "no token has the id {} (the vocabulary holds {})", id, vocab_size());
    if (skip_special_tokens && is_special(id)) continue;
    bytes.append(bytes_[static_cast<std::size_t>(id)]);
  }
  return replace_invalid_utf8(bytes);
}

std::optional<i64> BpeTokenizer::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string& BpeTokenizer::token(i64 id) const {
  check(id >= 0 && id < vocab_size(), "token {} of {}", id, vocab_size());
  return tokens_[static_cast<std::size_t>(id)];
}

bool BpeTokenizer::is_special(i64 id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<std::size_t>(id)];
}

// ---- reading ----

void BpeTokenizer::set_token(i64 id, const std::string& content, const std::string& source) {
  require(id >= 0 && id < kMostIds, ExitCode::bad_data, "{}: token {} has the id {}, outside of 0 to {}",
          source, Json(content).dump(), id, kMostIds - 1);
  if (id >= vocab_size()) {
    const auto size = static_cast<std::size_t>(id) + 1;
    tokens_.resize(size), bytes_.resize(size), widths_.resize(size), special_.resize(size);
  }
  const auto at = static_cast<std::size_t>(id);
  require(tokens_[at].empty() || tokens_[at] == content, ExitCode::bad_data,
          "{}: tokens {} and {} have the same id {}", source, Json(tokens_[at]).dump(), Json(content).dump(),
          id);
  const auto [known, fresh] = ids_.emplace(content, static_cast<std::int32_t>(id));
  require(fresh || known->second == id, ExitCode::bad_data, "{}: token {} has the ids {} and {}", source,
          Json(content).dump(), known->second, id);
  tokens_[at] = content;
  bytes_[at] = bytes_of_alphabet(content).value_or(content);
  widths_[at] = static_cast<std::uint32_t>(bytes_[at].size());
}

void BpeTokenizer::read_model(const Json& model, const std::string& source) {
  // Files of the first version have no type.
  const std::string type =
      model.is_object() && present(model, "type") == nullptr ? "BPE" : type_of(model, source);
  require(type == "BPE", ExitCode::bad_data, "{}: model type {} is not supported, only byte-level BPE",
          source, type);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* value = present(model, key);
    require(value == nullptr || *value == "", ExitCode::bad_data, "{}: model: {} {} is not supported", source,
            key, value == nullptr ? "" : value->dump());
  }
  const Json* dropout = present(model, "dropout");
  require(dropout == nullptr || *dropout == 0.0, ExitCode::bad_data, "{}: model: dropout {} is not supported",
          source, dropout == nullptr ? "" : dropout->dump());
  require(!boolean(model, "byte_fallback", source), ExitCode::bad_data,
          "{}: model: byte_fallback (a SentencePiece vocabulary) is not supported, only byte-level BPE",
          source);
  ignore_merges_ = boolean(model, "ignore_merges", source);
  fuse_unknown_ = boolean(model, "fuse_unk", source);

  const Json* vocab = present(model, "vocab");
  require(vocab != nullptr && vocab->is_object() && !vocab->empty(), ExitCode::bad_data,
          "{}: model: no vocab", source);
  pieces_.reserve(vocab->size());
  ids_.reserve(vocab->size());
  for (const auto& [piece, id] : vocab->items()) {
    require(!piece.empty() && id.is_number_integer(), ExitCode::bad_data,
            "{}: model: vocab: {}: {} is not a token id", source, Json(piece).dump(), id.dump());
    set_token(id.get<i64>(), piece, source);
    if (const auto bytes = bytes_of_alphabet(piece))
      pieces_.emplace(*bytes, static_cast<std::int32_t>(id.get<i64>()));
  }
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = pieces_.find(std::string(1, static_cast<char>(byte)));
    byte_ids_[static_cast<std::size_t>(byte)] = found == pieces_.end() ? kNone : found->second;
  }
  if (const Json* unknown = present(model, "unk_token")) {
    const auto found = unknown->is_string() ? ids_.find(unknown->get<std::string>()) : ids_.end();
    require(found != ids_.end(), ExitCode::bad_data, "{}: model: unk_token {} is not in the vocab", source,
            unknown->dump());
    unknown_ = found->second;
  }

  const Json* merges = present(model, "merges");
  require(merges != nullptr && merges->is_array(), ExitCode::bad_data, "{}: model: no list of merges",
          source);
  std::vector<MergeTable::Entry> entries;
  entries.reserve(merges->size());
  for (const Json& merge : *merges) {
    const std::size_t index = entries.size();
    std::string left, right;
    if (merge.is_string()) {  // "a b", the older form; pieces of the byte alphabet hold no space
      const std::string text = merge.get<std::string>();
      const std::size_t space = text.find(' ');
      require(space != std::string::npos && text.find(' ', space + 1) == std::string::npos,
              ExitCode::bad_data, "{}: merge {} ({}) is not a pair", source, index, merge.dump());
      left = text.substr(0, space), right = text.substr(space + 1);
    } else {
      require(merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string(),
              ExitCode::bad_data, "{}: merge {} ({}) is not a pair", source, index, merge.dump());
      left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
    }
    const auto l = ids_.find(left), r = ids_.find(right), both = ids_.find(left + right);
    for (const auto& [found, piece] :
         {std::pair(l, left), std::pair(r, right), std::pair(both, left + right)}) {
      require(found != ids_.end(), ExitCode::bad_data,
              "{}: merge {} ({}) needs {}, which is not in the vocab", source, index, merge.dump(),
              Json(piece).dump());
    }
    entries.push_back({pair_key(l->second, r->second), static_cast<std::uint32_t>(index), both->second});
  }
  merges_.build(entries);
}

void BpeTokenizer::read_added_tokens(const Json& added, const std::string& source) {
  require(added.is_array(), ExitCode::bad_data, "{}: added_tokens is not a list", source);
  for (const Json& token : added) {
    const Json* content = token.is_object() ? present(token, "content") : nullptr;
    const Json* id = token.is_object() ? present(token, "id") : nullptr;
    require(content != nullptr && content->is_string() && id != nullptr && id->is_number_integer(),
            ExitCode::bad_data, "{}: added token {} needs content and id", source, token.dump());
    AddedToken entry;
    entry.content = content->get<std::string>();
    if (entry.content.empty()) continue;
    set_token(id->get<i64>(), entry.content, source);
    entry.id = static_cast<std::int32_t>(id->get<i64>());
    entry.special = boolean(token, "special", source);
    entry.single_word = boolean(token, "single_word", source);
    entry.lstrip = boolean(token, "lstrip", source);
    entry.rstrip = boolean(token, "rstrip", source);
    special_[static_cast<std::size_t>(entry.id)] = entry.special;
    if (boolean(token, "normalized", source, !entry.special)) {
      const std::string text = nfc_ ? NfcText(entry.content).text() : entry.content;
      normalized_.add(text, added_.size());
      // The library looks for the normalised text, and that is also what it decodes to.
      bytes_[static_cast<std::size_t>(entry.id)] = bytes_of_alphabet(text).value_or(text);
    } else {
      raw_.add(entry.content, added_.size());
    }
    added_.push_back(std::move(entry));
  }
}

void BpeTokenizer::read_post_processor(const Json& processor, const std::string& source) {
  const std::string type = type_of(processor, source);
  if (type == "ByteLevel") return;  // trims offsets only
  if (type == "Sequence") {
    const Json* parts = present(processor, "processors");
    require(parts != nullptr && parts->is_array(), ExitCode::bad_data,
            "{}: post_processor Sequence without processors", source);
    for (const Json& part : *parts) read_post_processor(part, source);
    return;
  }
  require(type == "TemplateProcessing", ExitCode::bad_data,
          "{}: post_processor type {} is not supported (ByteLevel, TemplateProcessing and Sequence are)",
          source, type);
  const Json* single = present(processor, "single");
  require(single != nullptr && single->is_array(), ExitCode::bad_data,
          "{}: TemplateProcessing without single", source);
  std::vector<std::int32_t> front, back;
  int sequences = 0;
  for (const Json& part : *single) {
    if (part.is_object() && part.contains("Sequence")) {
      ++sequences;
      continue;
    }
    const Json id =
        part.is_object() && part.contains("SpecialToken") ? part["SpecialToken"].value("id", Json()) : Json();
    require(id.is_string(), ExitCode::bad_data, "{}: TemplateProcessing: {} is not understood", source,
            part.dump());
    const Json known =
        processor.value("special_tokens", Json::object()).value(id.get<std::string>(), Json::object());
    const Json ids = known.value("ids", Json::array());
    require(ids.is_array() && !ids.empty(), ExitCode::bad_data, "{}: TemplateProcessing: no ids for {}",
            source, id.dump());
    for (const Json& one : ids) {
      require(one.is_number_integer() && one.get<i64>() >= 0 && one.get<i64>() < vocab_size(),
              ExitCode::bad_data, "{}: TemplateProcessing: {} has the id {}, which no token has", source,
              id.dump(), one.dump());
      (sequences == 0 ? front : back).push_back(static_cast<std::int32_t>(one.get<i64>()));
    }
  }
  require(sequences == 1, ExitCode::bad_data,
          "{}: TemplateProcessing: single holds the text {} times, not once", source, sequences);
  // In a Sequence each one goes around what the others made.
  front_.insert(front_.begin(), front.begin(), front.end());
  back_.insert(back_.end(), back.begin(), back.end());
}

// "bos_token": "<s>" or {"content": "<s>", ...}
std::optional<i64> BpeTokenizer::named_token(const Json& config, const char* key) const {
  const Json* value = config.is_object() ? present(config, key) : nullptr;
  if (value != nullptr && value->is_object()) value = present(*value, "content");
  return value != nullptr && value->is_string() ? id_of(value->get<std::string>()) : std::nullopt;
}

BpeTokenizer::BpeTokenizer(const Json& tokenizer, const Json& config, const std::string& source) {
  require(tokenizer.is_object() && present(tokenizer, "model") != nullptr, ExitCode::bad_data,
          "{}: not a tokenizer.json (no model)", source);
  if (const Json* normalizer = present(tokenizer, "normalizer")) {
    const auto read = [&](const auto& self, const Json& part) -> void {
      const std::string type = type_of(part, source);
      if (type == "Sequence") {
        const Json* parts = present(part, "normalizers");
        require(parts != nullptr && parts->is_array(), ExitCode::bad_data,
                "{}: normalizer Sequence without normalizers", source);
        for (const Json& inner : *parts) self(self, inner);
        return;
      }
      require(type == "NFC", ExitCode::bad_data, "{}: normalizer type {} is not supported (NFC is)", source,
              type);
      nfc_ = true;
    };
    read(read, *normalizer);
  }
  pretokenizer_.emplace(tokenizer.value("pre_tokenizer", Json()), source);
  if (const Json* decoder = present(tokenizer, "decoder")) {
    const std::string type = type_of(*decoder, source);
    require(type == "ByteLevel", ExitCode::bad_data, "{}: decoder type {} is not supported (ByteLevel is)",
            source, type);
  }
  read_model(*present(tokenizer, "model"), source);
  if (const Json* added = present(tokenizer, "added_tokens")) read_added_tokens(*added, source);
  if (const Json* processor = present(tokenizer, "post_processor")) read_post_processor(*processor, source);
  if (unknown_) widths_[static_cast<std::size_t>(*unknown_)] = 1;  // it stands for one byte
  bos_ = named_token(config, "bos_token");
  eos_ = named_token(config, "eos_token");
  pad_ = named_token(config, "pad_token");

  Json identity = tokenizer;
  for (const char* key : {"truncation", "padding", "version"}) identity.erase(key);
  const std::string text = identity.dump();
  fingerprint_ = XXH3_64bits(text.data(), text.size());
}

BpeTokenizer BpeTokenizer::from_folder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "tokenizer.json";
  Json config = Json::object();
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {  // the second wins
    if (std::filesystem::exists(folder / name)) {
      const Json more = read_json_file((folder / name).string(), {.big_integers = true});
      require(more.is_object(), ExitCode::bad_data, "{}: not a JSON object", (folder / name).string());
      config.update(more);
    }
  }
  return BpeTokenizer(read_json_file(file.string(), {.big_integers = true}), config, file.string());
}

}  // namespace longsight::data
