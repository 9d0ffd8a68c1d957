// What a pass costs: the work, the bytes on the wire and the memory that traces of it tell, and the seconds
// that a hardware profile makes of them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "launch/planning/block_classes.h"
#include "launch/planning/counted_pass.h"
#include "launch/planning/hardware_profile.h"

namespace longsight::planning {

// Of one rank's ops, and of the group's exchanges. Ranks meet in every exchange, so a part of the program
// lasts as long as on its slowest rank.
struct Cost {
  double gemm_flops = 0;
  double attention_flops = 0;
  double touched_bytes = 0;    // of ops that are no products
  double compute_seconds = 0;  // that all of these take, call by call
  parallel::Wire wire = {};

  void add_call(const Work&, const HardwareProfile&, i64 times = 1);

  double link_seconds(const HardwareProfile&) const;     // of what moves within nodes,
  double network_seconds(const HardwareProfile&) const;  // and between them: one behind the other
  double seconds(const HardwareProfile&) const;          // all three
  void add(const Cost& other, i64 times = 1);
};

// By part of the program, in the order in which they begin: vision, connector, fusion, language, loss; and
// "parameters", what parameters that are dealt over the ranks move between all of them.
using CostByPart = std::vector<std::pair<std::string, Cost>>;
double seconds_of(const CostByPart&, const HardwareProfile&);
void add(CostByPart& sum, const CostByPart& more, i64 times = 1);

struct MemoryByPart {
  i64 parameters = 0;
  i64 gradients = 0;
  i64 optimizer = 0;    // two moments per trained element
  i64 inputs = 0;       // patches of this rank's images, of the step that runs and of the next
  i64 activations = 0;  // what forward leaves for backward
  i64 scratch = 0;      // most that is taken at once besides, without:
  i64 loss_chunk = 0;   // logits that exist then
  i64 communication = 0;
  i64 checkpoint = 0;  // the copy of this rank's share, while it is written

  i64 total() const;
  std::vector<std::pair<std::string, i64>> parts() const;  // by name, without the total
};

// Of one micro-batch on one sequence group.
struct PassPrediction {
  CostByPart parts;     // of the slowest rank
  MemoryByPart memory;  // of the fullest rank; without the tiles of attention, which depend on the machine
};

// Of passes of one model, whose parameters are allocated, on any backend, with gradients where they are
// trained. Model and profile are borrowed.
class PassPredictor {
 public:
  PassPredictor(model::Vlm& model, const HardwareProfile& hardware)
      : model_(model), hardware_(hardware), alike_(model), traced_(Backend::trace) {}

  // Traces forward, loss and backward on the ranks that have most of anything, of blocks that are alike two.
  // `images_elsewhere`: as in PassInputs.
  PassPrediction predict(CountedPass&, const parallel::Plan&, bool images_elsewhere);
  // FLOPs on all ranks together, without what is computed again: those of one rank that has it all.
  double useful_flops(const parallel::BatchShape&);

 private:
  model::Vlm& model_;
  const HardwareProfile& hardware_;
  AlikeBlocks alike_;
  model::PassMemory traced_;
};

// Bytes that stay for the whole run, on the rank that has most of them.
MemoryByPart resident_memory(const ParameterRegistry&, const parallel::Plan&);

// Once a step, behind the passes: gradients and values between all ranks, and AdamW on what a rank updates.
Cost gradient_sum_cost(const ParameterRegistry&, const parallel::Plan&, const HardwareProfile&);
Cost optimizer_cost(const ParameterRegistry&, const parallel::Plan&, const HardwareProfile&);

}  // namespace longsight::planning
