// Counted work of one micro-batch on a layout: floating-point operations of the fullest rank, bytes on the
// wire, and the seconds that a hardware profile makes of them. Pure functions; time in ranks and samples, not
// in tokens.
//
// Counted as two operations per multiply-add. A product of the forward pass has two in backward, one for the
// weights and one for the input; attention has two products forward (scores, result) and five backward
// (scores once more, and the gradients of scores, q, k, v). Ranks meet in every exchange, so each stage lasts
// as long as on its fullest rank.
#pragma once

#include <span>
#include <vector>

#include "parallel/batch_shape.h"
#include "parallel/counts.h"
#include "parallel/cuts.h"
#include "parallel/hardware_profile.h"
#include "parallel/model_shape.h"
#include "parallel/plan.h"

namespace longsight::parallel {

struct Cost {
  double gemm_flops = 0;       // of the fullest rank
  double attention_flops = 0;  // of the fullest rank
  double touched_bytes = 0;    // element-wise passes and packing of messages, on the fullest rank
  Wire wire;

  double seconds(const HardwareProfile&) const;
  Cost& operator+=(const Cost& other);
  Cost times(i64 n) const;
};

// Query heads of the fullest rank, and the share of its time that an average rank is busy: 28 heads on 8
// ranks: 4, 0.875.
i64 fullest_heads(i64 heads, i64 ranks);
double head_efficiency(i64 heads, i64 ranks);

// One block: norm, q k v, attention, output; and norm, MLP.
struct BlockCost {
  Cost attention;
  Cost mlp;
};
BlockCost block_cost(const TowerShape&, AttentionKind, const PackedSequences&, const Cuts&, i64 element_bytes,
                     bool with_backward, std::span<const i64> prefixes = {});

// All blocks of a tower, with the backward of those that have one. kinds: one per block. windows: the
// sequences of windowed blocks that are not causal (without rows: not known, taken as `sequences`).
Cost tower_cost(const TowerShape&, const std::vector<AttentionKind>& kinds, const PackedSequences&,
                const PackedSequences& windows, const Cuts&, i64 element_bytes,
                std::span<const i64> prefixes = {});

// One micro-batch on one sequence group, forward, loss and backward.
struct PassCost {
  Cost vision, connector, fusion, language, loss;

  double seconds(const HardwareProfile&) const;
  i64 wire_bytes() const;
};
PassCost pass_cost(const ModelShape&, const Plan&, const BatchShape&);

// Once a step: the sum of gradients over all ranks, and AdamW on every rank's copy.
Cost gradient_sum_cost(const ModelShape&, i64 world);
Cost optimizer_cost(const ModelShape&);

}  // namespace longsight::parallel
