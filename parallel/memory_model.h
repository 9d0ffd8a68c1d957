// Bytes per rank by part, counted from the shapes of what is taken: the mirror of the model's forward and
// backward.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "parallel/cost_model.h"

namespace longsight::parallel {

struct MemoryByPart {
  i64 parameters = 0;
  i64 gradients = 0;
  i64 optimizer = 0;    // two moments per trained element
  i64 activations = 0;  // what forward leaves for backward
  i64 scratch = 0;      // most that is taken at once besides, without:
  i64 loss_chunk = 0;   // logits that exist at a time
  i64 communication = 0;

  i64 total() const;
  std::vector<std::pair<std::string, i64>> parts() const;  // by name, without the total
};

// K and V of a block where they are gathered.
struct GatheredRows {
  i64 needed = 0;  // rows that a rank needs
  i64 sent = 0;    // rows that its own make when they go to all who need them, itself included
};

// The rows that a rank of a sequence group works on.
struct RankRows {
  i64 rank = 0;
  i64 ranks = 1;
  i64 vision = 0;                              // rows of the vision stream
  i64 class_rows = 0;                          // of those
  i64 vision_total = 0;                        // of the group
  GatheredRows vision_whole, vision_windowed;  // of blocks that see whole images, and of those with windows
  i64 vision_heads =
      0;  // query, key and value heads of all ranks in ulysses: a KV head counts at each rank that uses it
  i64 features = 0;  // connector rows
  i64 language = 0;
  i64 language_total = 0;
  GatheredRows language_whole, language_windowed;
  i64 language_heads = 0;
  i64 visual_tokens = 0;    // of its language rows
  i64 supervised_here = 0;  // of its language rows: those with a target
  i64 supervised = 0;       // rows that it projects
  bool images = false;      // whether the micro-batch has any
};
std::vector<RankRows> rank_rows(const ModelShape&, const BatchShape&, const Layout&);

// Bytes in the arena of activations at the end of forward: exact, alignment included.
i64 saved_bytes(const ModelShape&, const Plan&, const RankRows&);
// Most bytes of the scratch arena during forward and backward, logits included, without the tiles of
// attention.
i64 scratch_bytes(const ModelShape&, const Plan&, const RankRows&);

// Of one rank in a pass with gradients. Images' pixels and what MPI takes are not counted.
MemoryByPart memory_of(const ModelShape&, const Plan&, const RankRows&);
// Of the rank that needs most.
MemoryByPart fullest_memory(const ModelShape&, const Plan&, const BatchShape&);

}  // namespace longsight::parallel
