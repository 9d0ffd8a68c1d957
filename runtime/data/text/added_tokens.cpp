#include "runtime/data/text/added_tokens.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace longsight::data {

void AddedTokens::add(const AddedToken& token, std::string_view pattern) {
  // Of all together; those of the largest vocabularies have a tenth of it.
  constexpr std::size_t kMostNodes = std::size_t{1} << 18;
  if (pattern.empty()) return;
  require(nodes_.size() + pattern.size() <= kMostNodes, ExitCode::bad_data,
          "the added tokens of a tokenizer have more than {} bytes together", kMostNodes);
  begins_[static_cast<unsigned char>(pattern.front())] = true;
  std::uint32_t node = 0;
  for (const char byte : pattern) {
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
  if (nodes_[node].index == static_cast<std::size_t>(-1)) nodes_[node].index = tokens_.size();
  tokens_.push_back(token);
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, std::size_t from,
                                                    const Allowed& allowed) const {
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
      const std::size_t index = nodes_[node].index;
      if (index == static_cast<std::size_t>(-1)) continue;
      const ByteSpan span{static_cast<i64>(begin), static_cast<i64>(at + 1)};
      if (!allowed || allowed(tokens_[index].id, span)) longest = Match{begin, at + 1, index};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

std::vector<AddedTokens::Segment> AddedTokens::split(std::string_view text, const Allowed& allowed) const {
  std::vector<Segment> segments;
  const auto push = [&segments](std::size_t begin, std::size_t end, std::optional<i64> id) {
    if (begin < end || id) segments.push_back({{static_cast<i64>(begin), static_cast<i64>(end)}, id});
  };
  const auto is_word = [](CodePoint point) { return (class_of(point.value) & kWord) != 0; };
  const auto is_space = [](CodePoint point) { return (class_of(point.value) & kSpace) != 0; };
  std::size_t done = 0;
  for (std::size_t from = 0; !tokens_.empty();) {
    const auto match = find(text, from, allowed);
    if (!match) break;
    from = match->end;
    const AddedToken& token = tokens_[match->index];
    std::size_t begin = match->begin, end = match->end;
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
    push(begin, end, token.id);
    done = end;
    from = std::max(from, end);
  }
  push(done, text.size(), std::nullopt);
  return segments;
}

}  // namespace longsight::data
