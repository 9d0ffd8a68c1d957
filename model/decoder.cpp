#include "model/decoder.h"

#include <algorithm>

#include "model/inputs/rope_table.h"
#include "model/inputs/vision_stream.h"
#include "runtime/ops/argmax.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/rows.h"
#include "runtime/tensor/host_values.h"

namespace longsight::model {

Decoder::Decoder(Vlm& model, Stream stream)
    : model_(model),
      memory_(stream),
      workspace_{{memory_.saved, memory_.scratch, memory_.frames, self_, stream}, model.parameters()},
      logits_(model.parameters().precision().statistics, {1, model.config().text.vocab}, "logits", stream),
      choice_(DType::I64, {1}, "likeliest token", stream) {}

Tensor Decoder::start(const Sample& prompt, i64 more) {
  check_sample(prompt, model_.config());
  length_ = 0;
  reserve(prompt.tokens() + more);
  const ArenaScope scope(memory_.scratch);
  Tensor x = memory_.scratch.take(model_.parameters().precision().activations,
                                  {prompt.tokens(), model_.language().width()}, "fused embeddings");
  model_.language().embed(x, {prompt.ids, model_.config().text.vocab, "token ids"}, workspace_);
  place_images(x, prompt);
  std::vector<data::ImageLayout> layouts;
  for (const auto& image : prompt.images) layouts.push_back(image->layout());
  const std::vector<Position> positions = positions_of(prompt.ids, layouts, model_.config());
  next_position_ = next_position(positions, model_.config());
  // What is asked is all prefix; what is answered is not.
  prefix_ = model_.config().prefix_attention ? prompt.tokens() : 0;
  return run(x, positions);
}

Tensor Decoder::step(i64 id) {
  const ArenaScope scope(memory_.scratch);
  Tensor x = memory_.scratch.take(model_.parameters().precision().activations, {1, model_.language().width()},
                                  "embedding");
  model_.language().embed(x, {{id}, model_.config().text.vocab, "token ids"}, workspace_);
  const Position position{next_position_, next_position_, next_position_};
  ++next_position_;
  return run(x, {&position, 1});
}

void Decoder::reserve(i64 positions) {
  if (positions <= capacity_) return;
  const TextConfig& t = model_.config().text;
  cache_ = OwnedTensor(model_.parameters().precision().activations,
                       {model_.language().blocks(), positions, 2 * t.kv_heads * t.head_width}, "KV cache",
                       workspace_.stream);
  capacity_ = positions;
}

Tensor Decoder::cached(i64 block, i64 first, i64 rows) const {
  const Tensor of_block = cache_->row_range(block, 1);
  return of_block.reshape({capacity_, of_block.extent(2)}).row_range(first, rows);
}

Tensor Decoder::likeliest(Tensor logits) {
  ops::argmax(choice_, logits, workspace_.stream);
  return choice_;
}

// ---- images

void Decoder::place_images(Tensor x, const Sample& prompt) {
  std::vector<i64> places;
  for (i64 t = 0; t < prompt.tokens(); ++t) {
    if (model_.config().is_placeholder(prompt.ids[static_cast<std::size_t>(t)])) places.push_back(t);
  }
  const IndexList rows_of_images(std::move(places), prompt.tokens(), "visual tokens");
  i64 placed = 0;
  for (const auto& image : prompt.images) {
    const ArenaScope saved(memory_.saved);
    const Tensor rows = features(image);
    ops::scatter_rows(x, rows, rows_of_images.range(placed, rows.rows()), workspace_.stream);
    placed += rows.rows();
    memory_.frames.drop_to(0);  // no backward
  }
}

// [features of an image, C], in the saved arena. Images run one by one, so memory is that of one.
Tensor Decoder::features(const std::shared_ptr<data::ImageSource>& image) {
  const ModelConfig& config = model_.config();
  MicroBatch one;
  append_image(one, image, config);
  const parallel::Geometry& g = one.geometry;
  const i64 count = g.images.rows();
  const VisionInputs inputs =
      vision_inputs(one, config, 0, count, model_.parameters().precision().activations);
  const parallel::Cuts uncut{.at = {0, count}};
  const auto attention = [&](const parallel::PackedSequences& sequences) {
    return make_attention(parallel::AttentionKind::local, attention_shape(config.vision), {sequences, uncut},
                          0, "vision");
  };
  const auto whole = attention(g.images),
             windows = attention(config.vision.window > 0 ? g.windows : g.images);
  BlockSettings of_blocks;
  for (i64 i = 0; i < model_.vision().blocks(); ++i)
    of_blocks.push_back({config.vision.windowed(i) ? windows.get() : whole.get()});
  const std::vector<Tensor> states =
      model_.vision().forward(inputs.rows(memory_.saved, workspace_.stream), of_blocks, workspace_);
  return model_.connector().forward(states, merge_block_rows(g.feature_rows, config, count), workspace_);
}

// ---- language

// Rows x [n, C] of the next n positions through all blocks; their keys and values stay. x is overwritten.
Tensor Decoder::run(Tensor x, std::span<const Position> positions) {
  const i64 rows = x.rows();
  check(length_ + rows <= capacity_, "{} positions in a cache of {}", length_ + rows, capacity_);
  Arena& scratch = memory_.scratch;
  // With dynamic RoPE new keys turn by the length so far; those in the cache stay as they are.
  const std::vector<i64> lengths(
      depends_on_length(model_.config().text.rope) ? static_cast<std::size_t>(rows) : 0, length_ + rows);
  const RopeTable rope = rope_table(rope_angles(model_.config().text, positions, lengths), x.dtype(), scratch,
                                    workspace_.stream);
  Tensor middle = scratch.take(x.dtype(), x.shape(), "block middle");
  for (i64 i = 0; i < model_.language().blocks(); ++i) {
    const ArenaScope scope(scratch);
    const Block& block = model_.language().block(i);
    attend(middle, x, i, rope);
    Tensor up = scratch.take(x.dtype(), {rows, block.shape().mlp_input()}, "mlp input");
    mlp(x, norm_frame(middle, block.ids().mlp_norm, scratch), up, block.shape(), block.ids(), workspace_);
  }
  length_ += rows;
  model_.language().logits(logits_, x.row_range(rows - 1, 1), workspace_);
  return logits_;
}

// y [n, C] = x + attention of the next n positions over themselves and all before them.
void Decoder::attend(Tensor y, Tensor x, i64 block, const RopeTable& rope) {
  const BlockShape& s = model_.language().block(block).shape();
  const BlockIds& ids = model_.language().block(block).ids();
  const Stream stream = workspace_.stream;
  Arena& scratch = memory_.scratch;
  const ArenaScope scope(scratch);
  const i64 rows = x.rows(), d = s.head_width;

  const Tensor projection = scratch.take(x.dtype(), {rows, s.projection()}, "q, k, v");
  project(projection, x, s, ids, rope, scratch, workspace_);
  const Matrix qkv = projection;
  ops::copy_matrix(cached(block, length_, rows), qkv.columns(s.heads * d, 2 * s.kv_heads * d), stream);

  const Matrix kv = cached(block, 0, length_ + rows);
  const parallel::AttentionShape shape =
      attention_shape(model_.config().text, model_.config().text.windowed(block));
  const ops::AttentionSpan span{.q_begin = 0,
                                .q_rows = rows,
                                .k_begin = 0,
                                .k_rows = length_ + rows,
                                .diagonal = length_,
                                .causal = true,
                                .window = shape.window,
                                .prefix = prefix_};
  Tensor result = scratch.take(x.dtype(), {rows, s.heads * d}, "attention result");
  Tensor lse = scratch.take(statistics_of(x.dtype()), {rows, s.heads}, "attention log-sums");
  ops::attention(Heads(result, s.heads, d), lse, Heads(qkv.columns(0, s.heads * d), s.heads, d),
                 Heads(kv.columns(0, s.kv_heads * d), s.kv_heads, d),
                 Heads(kv.columns(s.kv_heads * d, s.kv_heads * d), s.kv_heads, d),
                 {.spans = {&span, 1},
                  .heads = {.first_q = 0, .group = s.heads / s.kv_heads, .first_kv = 0},
                  .scale = shape.scale()},
                 scratch, stream);
  linear(y, result, ids.out, workspace_, {.residual = x});
}

// ---- greedy

Generated generate(Decoder& decoder, const Sample& prompt, const GreedyOptions& options) {
  check(options.max_tokens >= 1, "max_tokens {}", options.max_tokens);
  Generated result;
  Tensor logits = decoder.start(prompt, options.max_tokens - 1);
  for (;;) {
    const i64 id = read_values<i64>(decoder.likeliest(logits), decoder.stream()).front();
    require(id >= 0, ExitCode::non_finite,
            "{}: the logits behind position {} are not finite: the weights are damaged, or too large for {} "
            "(try --dtype f64)",
            prompt.id, decoder.length() - 1, decoder.model().parameters().precision().name());
    if (std::find(options.stop.begin(), options.stop.end(), id) != options.stop.end()) {
      result.ended = true;
      return result;
    }
    result.ids.push_back(id);
    if (static_cast<i64>(result.ids.size()) == options.max_tokens) return result;
    logits = decoder.step(id);
  }
}

}  // namespace longsight::model
