// What is decided for a run before step one: the mesh, and the strategy of every block. A value without ranks
// or clocks.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/attention/strategies.h"
#include "parallel/groups/mesh.h"
#include "runtime/tensor/sharding.h"

namespace longsight::parallel {

// How connector rows reach the language stream. owner: each row goes to the rank that owns its position.
// gather: every rank receives every row (the baseline of other systems).
enum class FusionKind { owner, gather };

const char* name_of(FusionKind kind);

// "owner", "gather". Other names throw usage, beginning with `where` (the key of the configuration), with the
// nearest name. "auto" is the caller's.
FusionKind fusion_from_name(std::string_view name, std::string_view where);

// The same for any setting: `value` must be one of `available`; those of `planned` are known, but not
// available yet.
void require_available(std::string_view value, std::string_view where, std::span<const std::string> available,
                       std::span<const std::string> planned = {});

// What backward computes again instead of keeping it, of every block. Each keeps what the one behind it
// keeps:
//   block      its input
//   attention  and the result of attention with its log-sums
//   mlp        and all but the widest, what goes into the activation of the MLP
//   none       everything
enum class Recompute { none, mlp, attention, block };
const char* name_of(Recompute);
// As fusion_from_name.
Recompute recompute_from_name(std::string_view name, std::string_view where);

// "0" to "3". As fusion_from_name.
int zero_from_name(std::string_view name, std::string_view where);

// How the language stream is cut over the ranks where no block asks for whole samples: into equal ranges, or
// into two pieces for each rank, dealt in a zigzag (parallel/layout/cuts.h).
enum class Split { equal, zigzag };
const char* name_of(Split);
// As fusion_from_name.
Split split_from_name(std::string_view name, std::string_view where);

struct Plan {
  Mesh mesh;
  std::vector<AttentionKind> vision;    // one per block of the vision tower that runs
  std::vector<AttentionKind> language;  // one per block of the language model
  FusionKind fusion = FusionKind::owner;
  Recompute recompute = Recompute::none;
  i64 micro_batch_tokens = 0;  // most tokens of a micro-batch (deal_samples); 0: one per data group and step
  int zero = 0;                // what is dealt over the ranks: runtime/tensor/sharding.h
  Split split = Split::equal;  // of the language stream
  i64 node = 0;  // ranks of a node, neighbours: hybrid attention exchanges heads within it; 0: all

  Sharding sharding(i64 rank) const { return {zero, rank, mesh.world}; }
  std::string text() const;
};

// A plan with the same strategy everywhere: tests and the audit's layouts.
Plan uniform_plan(Mesh mesh, i64 vision_blocks, AttentionKind vision, i64 language_blocks,
                  AttentionKind language, FusionKind fusion);

}  // namespace longsight::parallel
