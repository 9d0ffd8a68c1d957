// The attention strategies there are, one row each. Configurations, plans, cuts, costs, the audit's layouts
// and the tests read the row: nothing else tells one strategy from another.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::parallel {

class AttentionStrategy;
struct AttentionShape;
struct AttentionStream;

// To add a strategy: its file, attention_NAME.cpp, which defines its maker, and its row here.
//   maker   see AttentionMaker; two names of one maker do the same
//   towers  it is legal for: any, vision
//   ranges  of its tower are cut anywhere, or between_sequences (samples, images): one such block decides for
//           its tower
//   sharing how many neighbouring ranks share the heads, each working on the rows of all of them with its
//           heads: 1 of `ranks` works on its own rows with all heads. `node` are neighbours on each node (0:
//           all), `heads` the query heads
//   auto    whether `auto` may consider it, in a step of `images`
//
// local: nothing moves; one rank, or ranges cut between samples. images: nothing moves. ulysses: q, k, v go
// from sequence shards to head shards, the result comes back; any head count. gather: K and V of the
// sequences that a rank's queries touch come to it. ring: the same, a rank's block at a time; as many rounds
// as ranks, at most 256 (ring_route.h). hybrid: ulysses within groups of neighbours (hybrid_degree.h), ring
// from group to group.
//
// clang-format off
#define LONGSIGHT_ATTENTION_STRATEGIES(ROW)                                                     \
  /*  name     maker         towers  ranges             sharing  auto                          */ \
  ROW(local,   make_local,   any,    between_sequences, 1,       ranks == 1)                      \
  ROW(images,  make_local,   vision, between_sequences, 1,       ranks > 1 && images > 0)         \
  ROW(ulysses, make_ulysses, any,    anywhere,          ranks,   ranks > 1 && ranks <= heads)     \
  ROW(gather,  make_gather,  any,    anywhere,          1,       ranks > 1)                       \
  ROW(ring,    make_ring,    any,    anywhere,          1,       ranks > 1 && ranks <= 64)        \
  ROW(hybrid,  make_hybrid,  any,    anywhere,                                                    \
      hybrid_degree(ranks, heads, node), is_hybrid(ranks, heads, node, 64))
// clang-format on

// How one block's attention works on a sequence that several ranks share.
#define LONGSIGHT_ROW(name, ...) name,
enum class AttentionKind { LONGSIGHT_ATTENTION_STRATEGIES(LONGSIGHT_ROW) };
#undef LONGSIGHT_ROW

enum class Tower { vision, language };

// Makes the strategy for one tower and micro-batch; `label` names the tower in schedules.
using AttentionMaker = std::unique_ptr<AttentionStrategy>(const AttentionShape&, const AttentionStream&,
                                                          i64 rank, const std::string& label);
#define LONGSIGHT_ROW(name, maker, ...) AttentionMaker maker;
LONGSIGHT_ATTENTION_STRATEGIES(LONGSIGHT_ROW)
#undef LONGSIGHT_ROW

struct Strategy {
  enum class Towers { any, vision };
  enum class Ranges { anywhere, between_sequences };
  using OfRanks = i64(i64 ranks, i64 node, i64 heads, i64 images);

  AttentionKind kind;
  const char* name;
  AttentionMaker* make;
  Towers towers;
  Ranges ranges;
  OfRanks* sharing;
  OfRanks* automatic;

  bool legal_for(Tower tower) const { return towers == Towers::any || tower == Tower::vision; }
  i64 ranks_sharing_heads(i64 ranks, i64 node, i64 heads) const { return sharing(ranks, node, heads, 0); }
};

std::span<const Strategy> strategies();  // in the order of the rows, which decides between equals
const Strategy& strategy_of(AttentionKind kind);
const char* name_of(AttentionKind kind);

std::vector<AttentionKind> legal_for(Tower tower);
// The same, but of several names of one maker the last one only: what tests and audits have to try.
std::vector<AttentionKind> different_for(Tower tower);
// Whether the ranges of a tower with these blocks are cut between its sequences.
bool cuts_between_sequences(std::span<const AttentionKind> blocks);
// Whether it matters to the work of a causal tower with these blocks which rows a rank has: later ones see
// more keys. Arguments as in the rows.
bool splits_causal_rows(std::span<const AttentionKind> blocks, i64 ranks, i64 node, i64 heads);

// The strategy of this name. Other names throw usage, beginning with `where` (the key of the configuration),
// with the nearest one. "auto" is the caller's.
AttentionKind attention_from_name(std::string_view name, std::string_view where);
// Throws usage, beginning with `where`, if the tower cannot have the strategy.
void require_legal(AttentionKind kind, Tower tower, std::string_view where);

}  // namespace longsight::parallel
