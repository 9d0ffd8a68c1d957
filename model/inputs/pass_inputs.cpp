#include "model/inputs/pass_inputs.h"

#include <algorithm>
#include <map>

#include "model/inputs/rope_table.h"

namespace longsight::model {

using parallel::AttentionKind;

namespace {

// One strategy serves all blocks of a tower that are planned for it and see the same keys.
template <class Windowed, class Make>
BlockSettings settings_of(const std::vector<AttentionKind>& kinds, i64 blocks, const char* tower,
                          PassInputs& inputs, Windowed&& windowed, Make&& make) {
  check(static_cast<i64>(kinds.size()) == blocks, "a plan for {} {} blocks of {}", kinds.size(), tower,
        blocks);
  std::map<std::pair<AttentionKind, bool>, parallel::AttentionStrategy*> made;
  BlockSettings result;
  for (i64 i = 0; i < blocks; ++i) {
    const std::pair key(kinds[static_cast<std::size_t>(i)], windowed(i));
    if (!made.contains(key)) {
      inputs.strategies.push_back(make(key.first, key.second));
      made[key] = inputs.strategies.back().get();
    }
    result.push_back({made[key], inputs.plan().recompute});
  }
  return result;
}

// All that follows from lengths alone.
std::shared_ptr<const PassInputs::Frame> frame_of(const parallel::Geometry& sequences,
                                                  const parallel::Plan& plan) {
  return std::make_shared<PassInputs::Frame>(
      PassInputs::Frame{plan, sequences, make_layout(plan, sequences)});
}

PassInputs begin_inputs(std::shared_ptr<const PassInputs::Frame> frame, const ModelConfig& config, i64 rank) {
  PassInputs inputs{.rank = rank, .frame = std::move(frame)};
  const parallel::Plan& plan = inputs.plan();
  const parallel::Geometry& g = inputs.frame->sequences;
  const parallel::Layout& layout = inputs.layout();
  if (inputs.has_images()) {
    // Statistics of a typical step hold no windows of images: the whole ones are an upper bound.
    const auto& windows = g.windows.rows() == g.images.rows() ? g.windows : g.images;
    inputs.vision_blocks = settings_of(
        plan.vision, config.vision_blocks_run(), "vision", inputs,
        [&](i64 i) { return config.vision.windowed(i); },
        [&](AttentionKind kind, bool windowed) {
          return make_attention(
              kind, attention_shape(config.vision),
              {.sequences = windowed ? windows : g.images, .cuts = layout.vision, .node = plan.node}, rank,
              windowed ? "vision windows" : "vision");
        });
  }
  inputs.language_blocks = settings_of(
      plan.language, config.text.layers, "language", inputs, [&](i64 i) { return config.text.windowed(i); },
      [&](AttentionKind kind, bool windowed) {
        return make_attention(kind, attention_shape(config.text, windowed),
                              {g.samples, layout.language, g.prefixes, plan.node}, rank,
                              windowed ? "language windows" : "language");
      });
  return inputs;
}

parallel::Geometry without_tokens(const parallel::Geometry& g) {
  parallel::Geometry frame;
  frame.samples = g.samples;
  frame.images = g.images;
  frame.windows = g.windows;
  frame.prefixes = g.prefixes;
  frame.class_rows = g.class_rows;
  frame.merge = g.merge;
  return frame;
}

}  // namespace

parallel::AttentionShape attention_shape(const VisionConfig& v) {
  return {.heads = v.heads, .kv_heads = v.heads, .width = v.head_width(), .causal = false, .window = 0};
}

parallel::AttentionShape attention_shape(const TextConfig& t, bool windowed) {
  return {.heads = t.heads,
          .kv_heads = t.kv_heads,
          .width = t.head_width,
          .causal = true,
          .window = windowed ? t.window : 0};
}

IndexList merge_block_rows(std::span<const i64> first_rows, const ModelConfig& config, i64 count) {
  std::vector<i64> rows;
  for (i64 first : first_rows) {
    for (i64 i = 0; i < config.vision.merged(); ++i) rows.push_back(first + i);
  }
  return {std::move(rows), count, "rows of features"};
}

parallel::Plan one_rank_plan(const Vlm& model) {
  return parallel::uniform_plan(parallel::make_mesh(1, 1), model.vision().blocks(), AttentionKind::local,
                                model.language().blocks(), AttentionKind::local, parallel::FusionKind::owner);
}

void PassInputs::set_recompute(parallel::Recompute level) {
  for (BlockSettings* settings : {&vision_blocks, &language_blocks})
    for (BlockSetting& block : *settings) block.recompute = level;
}

void PassInputs::add_to(Upload& upload) {
  if (has_images()) {
    vision.add_to(upload);
    fusion.add_to(upload);
    upload.add(connector_rows);
  }
  for (const IndexList* list : {&ids, &text_rows, &text_ids}) upload.add(*list);
  add_angles(upload, angles);
  loss.add_to(upload);
  for (const auto& strategy : strategies) strategy->add_to(upload);
}

PassInputs make_inputs(const MicroBatch& batch, const Vlm& model, const parallel::Plan& plan, i64 rank) {
  const ModelConfig& config = model.config();
  const DType dtype = model.parameters().precision().activations;
  const parallel::Geometry& g = batch.geometry;
  PassInputs inputs = begin_inputs(frame_of(without_tokens(g), plan), config, rank);
  const parallel::Layout& layout = inputs.layout();
  inputs.loss = parallel::LossBalance(g, layout, rank, config.text.vocab);
  if (inputs.has_images()) {
    inputs.fusion = parallel::FusionExchange(plan.fusion, g, layout, rank);
    inputs.vision = vision_inputs(batch, config, layout.vision.begin(rank), layout.vision.end(rank), dtype);
    std::vector<i64> first_rows;
    for (i64 f : inputs.fusion.owned())
      first_rows.push_back(g.feature_rows[static_cast<std::size_t>(f)] - layout.vision.begin(rank));
    inputs.connector_rows = merge_block_rows(first_rows, config, layout.vision.rows(rank));
  }
  const i64 rows = layout.language.rows(rank);
  const auto mine = [&](const auto& of_all) {
    std::vector<typename std::decay_t<decltype(of_all)>::value_type> some;
    if (of_all.empty()) return some;
    for (const parallel::RowRange& range : layout.language.ranges(rank))
      some.insert(some.end(), of_all.begin() + range.begin, of_all.begin() + range.end);
    return some;
  };
  const std::vector<i64> ids = mine(batch.ids);
  std::vector<i64> text_rows, text_ids;
  for (i64 row = 0; row < rows; ++row) {
    const i64 id = ids[static_cast<std::size_t>(row)];
    if (config.is_placeholder(id)) continue;
    text_rows.push_back(row);
    text_ids.push_back(id);
  }
  inputs.ids = IndexList(ids, config.text.vocab, "token ids");
  inputs.text_rows = IndexList(std::move(text_rows), rows, "rows of text");
  inputs.text_ids = IndexList(std::move(text_ids), config.text.vocab, "token ids");
  inputs.angles = rope_angles(config.text, mine(batch.positions), mine(batch.rope_lengths));
  return inputs;
}

PassInputs counted_inputs(const parallel::BatchShape& batch, const Vlm& model, const parallel::Plan& plan,
                          i64 rank) {
  return counted_inputs(batch, model, frame_of(batch.frame, plan), rank);
}

PassInputs counted_inputs(const parallel::BatchShape& batch, const Vlm& model,
                          std::shared_ptr<const PassInputs::Frame> frame, i64 rank) {
  const ModelConfig& config = model.config();
  const DType dtype = model.parameters().precision().activations;
  PassInputs inputs = begin_inputs(std::move(frame), config, rank);
  const parallel::Layout& layout = inputs.layout();
  inputs.loss = parallel::LossBalance::counted(batch.supervised, layout, rank, config.text.vocab);
  const i64 rows = layout.language.rows(rank);
  i64 visual = 0;  // of the rows
  if (inputs.has_images()) {
    const VisionConfig& v = config.vision;
    inputs.fusion = parallel::FusionExchange::counted(inputs.plan().fusion, batch.features, layout, rank);
    visual = inputs.fusion.arriving();
    const i64 vision_rows = layout.vision.rows(rank);
    const std::vector<i64>& starts = batch.frame.images.starts;
    const auto images_before = [&](i64 row) {
      return std::lower_bound(starts.begin(), starts.end() - 1, row) - starts.begin();
    };
    const i64 class_rows =
        v.class_rows() * (images_before(layout.vision.end(rank)) - images_before(layout.vision.begin(rank)));
    inputs.vision.count = vision_rows;
    inputs.vision.class_rows = IndexList::counted(class_rows, vision_rows);
    inputs.vision.class_tokens = IndexList::counted(class_rows, 1);
    inputs.vision.patch_rows = IndexList::counted(vision_rows - class_rows, vision_rows);
    if (v.positions != VisionConfig::Positions::none)
      inputs.vision.positions = IndexList::counted(vision_rows, v.position_rows());
    inputs.vision.patches =
        OwnedTensor(dtype, {vision_rows - class_rows, v.patch_inputs()}, "patches", Backend::trace);
    if (v.rope) inputs.vision.angles = {.rows = vision_rows - class_rows, .half = v.head_width() / 2};
    inputs.connector_rows = IndexList::counted(inputs.fusion.owned_count() * v.merged(), vision_rows);
  }
  inputs.ids = IndexList::counted(rows, config.text.vocab);
  inputs.text_rows = IndexList::counted(rows - visual, rows);
  inputs.text_ids = IndexList::counted(rows - visual, config.text.vocab);
  inputs.angles = {.rows = rows, .half = config.text.head_width / 2};
  return inputs;
}

}  // namespace longsight::model
