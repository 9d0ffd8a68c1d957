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
//   share   of a sequence that a rank works on: its rows with all heads, or all rows with its heads
//   auto    whether `auto` may consider it: over `ranks` ranks, with `heads` query heads, in a step of
//   `images`
//
// local: nothing moves; one rank, or ranges cut between samples. images: nothing moves. ulysses: q, k, v go
// from sequence shards to head shards, the result comes back; any head count. gather: K and V of the
// sequences that a rank's queries touch come to it. ring: the same, a rank's block at a time; as many rounds
// as ranks, at most 256 (ring_route.h).
//
// clang-format off
#define LONGSIGHT_ATTENTION_STRATEGIES(ROW)                                                     \
  /*  name     maker         towers  ranges             share  auto                          */ \
  ROW(local,   make_local,   any,    between_sequences, rows,  ranks == 1)                      \
  ROW(images,  make_local,   vision, between_sequences, rows,  ranks > 1 && images > 0)         \
  ROW(ulysses, make_ulysses, any,    anywhere,          heads, ranks > 1 && ranks <= heads)     \
  ROW(gather,  make_gather,  any,    anywhere,          rows,  ranks > 1)                       \
  ROW(ring,    make_ring,    any,    anywhere,          rows,  ranks > 1 && ranks <= 64)
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
  enum class Share { rows, heads };

  AttentionKind kind;
  const char* name;
  AttentionMaker* make;
  Towers towers;
  Ranges ranges;
  Share share;
  bool (*automatic)(i64 ranks, i64 heads, i64 images);

  bool legal_for(Tower tower) const { return towers == Towers::any || tower == Tower::vision; }
  bool splits_heads() const { return share == Share::heads; }
};

std::span<const Strategy> strategies();  // in the order of the rows, which decides between equals
const Strategy& strategy_of(AttentionKind kind);
const char* name_of(AttentionKind kind);

std::vector<AttentionKind> legal_for(Tower tower);
// The same, but of several names of one maker the last one only: what tests and audits have to try.
std::vector<AttentionKind> different_for(Tower tower);
// Whether the ranges of a tower with these blocks are cut between its sequences.
bool cuts_between_sequences(std::span<const AttentionKind> blocks);

// The strategy of this name. Other names throw usage, beginning with `where` (the key of the configuration):
// "hybrid" as not available yet, the rest with the nearest name. "auto" is the caller's.
AttentionKind attention_from_name(std::string_view name, std::string_view where);
// Throws usage, beginning with `where`, if the tower cannot have the strategy.
void require_legal(AttentionKind kind, Tower tower, std::string_view where);

}  // namespace longsight::parallel
