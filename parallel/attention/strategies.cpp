#include "parallel/attention/strategies.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "parallel/attention/hybrid_degree.h"
#include "parallel/plan.h"

namespace longsight::parallel {
namespace {

#define LONGSIGHT_FORMULA(value)                                                        \
  [](i64 ranks [[maybe_unused]], i64 node [[maybe_unused]], i64 heads [[maybe_unused]], \
     i64 images [[maybe_unused]]) -> i64 { return value; }
#define LONGSIGHT_ROW(name, maker, towers, ranges, sharing, automatic) \
  Strategy{AttentionKind::name,                                        \
           #name,                                                      \
           maker,                                                      \
           Strategy::Towers::towers,                                   \
           Strategy::Ranges::ranges,                                   \
           LONGSIGHT_FORMULA(sharing),                                 \
           LONGSIGHT_FORMULA(automatic)},
constexpr std::array kStrategies{LONGSIGHT_ATTENTION_STRATEGIES(LONGSIGHT_ROW)};
#undef LONGSIGHT_ROW
#undef LONGSIGHT_FORMULA

std::vector<std::string> names_of(const std::vector<AttentionKind>& kinds) {
  std::vector<std::string> names;
  for (AttentionKind kind : kinds) names.emplace_back(name_of(kind));
  return names;
}

}  // namespace

std::span<const Strategy> strategies() {
  return kStrategies;
}

const Strategy& strategy_of(AttentionKind kind) {
  return kStrategies.at(static_cast<std::size_t>(kind));
}

const char* name_of(AttentionKind kind) {
  return strategy_of(kind).name;
}

std::vector<AttentionKind> legal_for(Tower tower) {
  std::vector<AttentionKind> kinds;
  for (const Strategy& s : kStrategies) {
    if (s.legal_for(tower)) kinds.push_back(s.kind);
  }
  return kinds;
}

std::vector<AttentionKind> different_for(Tower tower) {
  std::vector<AttentionKind> kinds = legal_for(tower);
  std::erase_if(kinds, [&](AttentionKind kind) {
    return std::any_of(kStrategies.begin(), kStrategies.end(), [&](const Strategy& other) {
      return other.kind > kind && other.make == strategy_of(kind).make && other.legal_for(tower);
    });
  });
  return kinds;
}

bool cuts_between_sequences(std::span<const AttentionKind> blocks) {
  return std::any_of(blocks.begin(), blocks.end(), [](AttentionKind kind) {
    return strategy_of(kind).ranges == Strategy::Ranges::between_sequences;
  });
}

bool splits_causal_rows(std::span<const AttentionKind> blocks, i64 ranks, i64 node, i64 heads) {
  return !cuts_between_sequences(blocks) &&
         std::any_of(blocks.begin(), blocks.end(), [&](AttentionKind kind) {
           return strategy_of(kind).ranks_sharing_heads(ranks, node, heads) < ranks;
         });
}

AttentionKind attention_from_name(std::string_view name, std::string_view where) {
  std::vector<std::string> names;
  for (const Strategy& s : kStrategies) names.emplace_back(s.name);
  require_available(name, where, names);
  return kStrategies[static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin())]
      .kind;
}

void require_legal(AttentionKind kind, Tower tower, std::string_view where) {
  require(strategy_of(kind).legal_for(tower), ExitCode::usage,
          "{}: {} is a strategy of vision blocks; the language model has {}", where, name_of(kind),
          fmt::join(names_of(legal_for(tower)), ", "));
}

}  // namespace longsight::parallel
