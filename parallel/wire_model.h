// Bytes that a micro-batch sends from rank to rank on a layout, counted without the strategies and in time of
// ranks and samples: the sums of the count matrices that they put into their schedules.
#pragma once

#include "parallel/batch_shape.h"
#include "parallel/layout.h"

namespace longsight::parallel {

// Bytes of one or several collectives, from rank to rank: what stays on its rank is not counted.
struct Wire {
  i64 total = 0;     // of all ranks
  i64 fullest = 0;   // sent or received, the larger, by the rank where that is largest
  i64 messages = 0;  // of the rank that has most

  Wire& operator+=(const Wire& other);
  friend bool operator==(const Wire&, const Wire&) = default;
};

// Rows whose keys each rank needs where K and V are gathered: those of its sequences, as far as a causal mask
// lets it see; with a window (0: none) and prefixes (of each sequence; empty: none) as in AttentionShape and
// AttentionStream.
std::vector<RowRange> needed_rows(const PackedSequences&, const Cuts&, bool causal, i64 window = 0,
                                  std::span<const i64> prefixes = {});

// What attention sends in the forward and the backward pass of one block: the sums of the strategy's count
// matrices.
struct AttentionWire {
  Wire forward;
  Wire backward;
};
AttentionWire attention_wire(const TowerShape&, AttentionKind, const PackedSequences&, const Cuts&,
                             i64 element_bytes, std::span<const i64> prefixes = {});

// Visual tokens by the rank of their patches and the rank of their position.
struct FeatureTraffic {
  std::vector<i64> owned;           // by rank: connector rows
  std::vector<i64> consumed;        // by rank: language rows that are visual tokens
  i64 moved = 0;                    // whose two ranks differ
  std::vector<i64> sent, received;  // of those, by rank
  i64 pieces = 0;  // runs of moved tokens between the same two ranks, of the rank that has most
};
FeatureTraffic feature_traffic(const BatchShape&, const Layout&);

// Language rows with a target, by the rank that holds them.
std::vector<i64> supervised_by_rank(const BatchShape&, const Cuts& language);

// One direction of each exchange; columns of a row. The way back has the same total.
Wire fusion_wire(FusionKind, const FeatureTraffic&, i64 columns, i64 element_bytes);
Wire loss_wire(const BatchShape&, const Cuts& language, i64 columns, i64 element_bytes);
// A sum over `ranks` of `elements` each, as ProcessGroup::all_reduce_sum moves them: slices to their ranks,
// sums to all.
Wire all_reduce_wire(i64 elements, i64 ranks, i64 element_bytes);

}  // namespace longsight::parallel
