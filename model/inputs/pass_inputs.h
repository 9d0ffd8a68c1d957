// What the host prepares for one pass on one rank: who holds what, strategies and exchanges, rows, ids,
// positions, patches. Made without communication, on any thread, before the pass.
#pragma once

#include <memory>

#include "model/inputs/micro_batch.h"
#include "model/inputs/vision_stream.h"
#include "model/vlm.h"
#include "parallel/fusion_exchange.h"
#include "parallel/layout/batch_shape.h"
#include "parallel/loss_balance.h"

namespace longsight::model {

// Attention of the two towers, as the strategies and the planner see it.
parallel::AttentionShape attention_shape(const VisionConfig&);
parallel::AttentionShape attention_shape(const TextConfig&, bool windowed);

// The rows of the merge blocks that begin at these of `count` rows.
IndexList merge_block_rows(std::span<const i64> first_rows, const ModelConfig&, i64 count);

struct PassInputs {
  // What the strategies refer to; it stays where it is when the inputs move.
  struct Frame {
    parallel::Plan plan;
    parallel::Geometry sequences;  // without the lists of tokens
    parallel::Layout layout;
  };

  i64 rank = 0;  // of the sequence group
  std::shared_ptr<const Frame> frame = {};
  std::vector<std::unique_ptr<parallel::AttentionStrategy>> strategies = {};
  BlockSettings vision_blocks = {}, language_blocks = {};  // strategies among those above
  parallel::FusionExchange fusion = {};
  parallel::LossBalance loss = {};

  VisionInputs vision = {};
  IndexList connector_rows = {};  // of this rank's vision rows: those of each owned feature's merge block
  IndexList ids = {};             // of this rank's language rows
  IndexList text_rows = {};       // those of them that are text,
  IndexList text_ids = {};        // and their ids
  ops::RopeAngles angles = {};    // of the language rows

  const parallel::Plan& plan() const { return frame->plan; }
  const parallel::Layout& layout() const { return frame->layout; }
  bool has_images() const { return frame->sequences.images.count() > 0; }  // on any rank of the group
  // Whether some other data group may have images in this pass, and so works with the vision side's
  // parameters.
  bool images_elsewhere = false;

  // What the plan says of it is overruled.
  void set_recompute(parallel::Recompute);
  // All that ops look at. The inputs stay where they are until the upload has run.
  void add_to(Upload&);
};

// The plan of one rank that does everything by itself.
parallel::Plan one_rank_plan(const Vlm&);

// In the dtype of the model's parameters. Decodes the images of which the rank holds rows. The same samples
// and plan on every rank; throws what reading them throws.
PassInputs make_inputs(const MicroBatch&, const Vlm&, const parallel::Plan&, i64 rank);

// For a trace: the same sizes and nothing else, from lengths alone.
PassInputs counted_inputs(const parallel::BatchShape&, const Vlm&, const parallel::Plan&, i64 rank);
// Of another rank, with the frame of the first.
PassInputs counted_inputs(const parallel::BatchShape&, const Vlm&, std::shared_ptr<const PassInputs::Frame>,
                          i64 rank);

}  // namespace longsight::model
