// What every rank knows of a micro-batch before it runs: lengths, places of images, supervised positions. No
// pixels, no activations. Layouts, schedules and costs are pure functions of it.
#pragma once

#include <vector>

#include "runtime/base/number.h"

namespace longsight::parallel {

struct RowRange {
  i64 begin = 0;
  i64 end = 0;
  i64 rows() const { return end - begin; }
};

// Sequences packed end to end in one stream of rows: sequence s is rows [starts[s], starts[s + 1]).
struct PackedSequences {
  std::vector<i64> starts{0};

  i64 count() const { return static_cast<i64>(starts.size()) - 1; }
  i64 rows() const { return starts.back(); }
  i64 length(i64 s) const {
    return starts[static_cast<std::size_t>(s) + 1] - starts[static_cast<std::size_t>(s)];
  }
  void append(i64 length) { starts.push_back(starts.back() + length); }
};

struct Geometry {
  PackedSequences samples;  // language stream: tokens of each sample
  PackedSequences images;   // vision stream: class row (if the tower has one), then patch rows, of each image
                            // (of each tile, or temporal patch of a video: what attention does not cross)
  PackedSequences windows;  // vision stream once more, for blocks with window attention: each image is one or
                            // several windows. Without windows: no rows
  std::vector<i64> prefixes;  // of each sample: its first tokens, which all of its tokens see (prefix
                              // attention). Empty: causal attention only
  i64 class_rows = 0;         // rows at the head of an image that are no patches
  i64 merge = 1;  // patch rows that one connector row merges; a cut never falls inside such a block

  // Feature f (one connector row, in the order in which the model splices them) comes from the block that
  // begins at row feature_rows[f] of the vision stream and stands at token feature_positions[f] of the
  // language stream.
  std::vector<i64> feature_rows;
  std::vector<i64> feature_positions;

  // Tokens that have a target, ascending: the label of the next token of the same sample, shifted before any
  // cut.
  std::vector<i64> supervised_positions;
  std::vector<i64> targets;  // one per supervised position

  i64 features() const { return static_cast<i64>(feature_rows.size()); }
  i64 supervised() const { return static_cast<i64>(targets.size()); }
};

}  // namespace longsight::parallel
