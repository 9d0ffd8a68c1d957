#include "launch/planning/plan_rules.h"

#include <algorithm>
#include <charconv>

namespace longsight::planning {
namespace {

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<i64> index_of(std::string_view text) {
  i64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc() || end != text.data() + text.size())
    return {};
  return value;
}

std::string blocks_there_are(const ModelFacts& m) {
  std::string text;
  for (const TowerFacts* tower : {&m.vision, &m.language}) {
    if (tower->blocks > 0)
      text += fmt::format("{}{}.0-{}", text.empty() ? "" : ", ", tower->name, tower->blocks - 1);
  }
  return text;
}

// Marks the blocks [first, last] that one pattern names in a tower.
class RuleReader {
 public:
  RuleReader(const ModelFacts& model, std::string where) : model_(model), where_(std::move(where)) {}

  void apply(const Rule& rule, BlockRequests& requests) const {
    const std::string source = fmt::format("{} ({})", where_, rule.blocks);
    for (std::string_view part : split(rule.blocks, ',')) {
      const std::string_view pattern = trimmed(part);
      if (pattern == "*") {
        mark(model_.vision, 0, model_.vision.blocks - 1, requests.vision, rule.attention, source);
        mark(model_.language, 0, model_.language.blocks - 1, requests.language, rule.attention, source);
        continue;
      }
      const std::size_t dot = pattern.find('.');
      const std::string_view tower = pattern.substr(0, dot);
      const std::string_view range =
          dot == std::string_view::npos ? std::string_view() : pattern.substr(dot + 1);
      if (tower == model_.vision.name) {
        mark(pattern, model_.vision, range, requests.vision, rule.attention, source);
      } else if (tower == model_.language.name) {
        mark(pattern, model_.language, range, requests.language, rule.attention, source);
      } else {
        no_block(pattern);
      }
    }
  }

 private:
  [[noreturn]] void no_block(std::string_view pattern) const {
    fail(ExitCode::usage, "{}: blocks \"{}\" names no block; there are {} (also \"vision.*\", \"*\")", where_,
         pattern, blocks_there_are(model_));
  }

  void mark(std::string_view pattern, const TowerFacts& tower, std::string_view range,
            std::vector<BlockRequest>& requests, AttentionKind kind, const std::string& source) const {
    if (range == "*" && tower.blocks > 0) return mark(tower, 0, tower.blocks - 1, requests, kind, source);
    const std::size_t dash = range.find('-');
    const auto first = index_of(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : index_of(range.substr(dash + 1));
    if (!first || !last || *first > *last || *first >= tower.blocks) no_block(pattern);
    require(*last < tower.blocks, ExitCode::usage,
            "{}: blocks \"{}\" goes beyond the last block; there are {}", where_, pattern,
            blocks_there_are(model_));
    mark(tower, *first, *last, requests, kind, source);
  }

  void mark(const TowerFacts& tower, i64 first, i64 last, std::vector<BlockRequest>& requests,
            AttentionKind kind, const std::string& source) const {
    parallel::require_legal(kind, &tower == &model_.vision ? Tower::vision : Tower::language, where_);
    for (i64 i = first; i <= last; ++i) requests[static_cast<std::size_t>(i)] = {kind, source};
  }

  const ModelFacts& model_;
  std::string where_;
};

}  // namespace

BlockRequests block_requests(const ModelFacts& m, const PlanOptions& options) {
  BlockRequests requests;
  const auto start = [](const TowerFacts& tower, const std::optional<AttentionKind>& kind) {
    const std::string source = kind ? fmt::format("parallel.{}.attention", tower.name) : "";
    return std::vector<BlockRequest>(static_cast<std::size_t>(tower.blocks), BlockRequest{kind, source});
  };
  if (options.language)
    parallel::require_legal(*options.language, Tower::language,
                            fmt::format("parallel.{}.attention", m.language.name));
  requests.vision = start(m.vision, options.vision);
  requests.language = start(m.language, options.language);
  for (std::size_t i = 0; i < options.rules.size(); ++i) {
    RuleReader(m, fmt::format("parallel.rules[{}]", i)).apply(options.rules[i], requests);
  }
  for (std::size_t i = 0; options.split && i < requests.language.size(); ++i) {
    const auto kind = requests.language[i].attention;
    if (!kind) continue;
    require(!parallel::cuts_between_sequences({&*kind, 1}), ExitCode::usage,
            "parallel.fusion.split: {} cuts samples anywhere, but {} makes {}.{} {}, which holds whole ones",
            name_of(*options.split), requests.language[i].source, m.language.name, i,
            parallel::name_of(*kind));
  }
  return requests;
}

}  // namespace longsight::planning
