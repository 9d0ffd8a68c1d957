// What is decided for a run before step one: the mesh, and the strategy of every block. A value without ranks
// or clocks.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/mesh.h"

namespace longsight::parallel {

// How one block's attention works on a sequence that several ranks share.
//   local: nothing moves; one rank, or ranges cut between samples.
//   images: nothing moves; vision only, ranges are cut between images.
//   ulysses: q, k, v go from sequence shards to head shards, the result comes back (Jacobs et al. 2023), any
//   head count. gather: K and V of the sequences that a rank's queries touch come to it.
enum class AttentionKind { local, images, ulysses, gather };

// How connector rows reach the language stream. owner: each row goes to the rank that owns its position.
// gather: every rank receives every row (the baseline of other systems).
enum class FusionKind { owner, gather };

const char* name_of(AttentionKind kind);
const char* name_of(FusionKind kind);

// "local", "images", "ulysses", "gather". Other names throw usage, beginning with `where` (the key of the
// configuration): "ring" and "hybrid" as not available yet, the rest with the nearest name. "auto" is the
// caller's.
AttentionKind attention_from_name(std::string_view name, std::string_view where);
FusionKind fusion_from_name(std::string_view name, std::string_view where);  // "owner", "gather"

// The same for any setting: `value` must be one of `available`; those of `planned` are known, but not
// available yet.
void require_available(std::string_view value, std::string_view where, std::span<const std::string> available,
                       std::span<const std::string> planned = {});

struct Plan {
  Mesh mesh;
  std::vector<AttentionKind> vision;    // one per block of the vision tower that runs
  std::vector<AttentionKind> language;  // one per block of the language model
  FusionKind fusion = FusionKind::owner;

  std::string text() const;
};

// A plan with the same strategy everywhere: tests and the audit's layouts.
Plan uniform_plan(Mesh mesh, i64 vision_blocks, AttentionKind vision, i64 language_blocks,
                  AttentionKind language, FusionKind fusion);

}  // namespace longsight::parallel
