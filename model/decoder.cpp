#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/rope_table.h"
#include "runtime/ops/attention.h"
#include "runtime/ops/patches.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/rows.h"

namespace longsight::model {

Decoder::Decoder(Vlm& model, Stream stream)
    : model_(model),
      workspace_{{memory_.saved, memory_.scratch, memory_.frames, stream}, model.parameters()},
      uncut_{.at = {0, model.config().vision.rows()}},
      logits_(model.parameters().dtype(), {1, model.config().text.vocab}, "logits") {
  one_image_.append(model.config().vision.rows());
  vision_attention_ = make_attention(parallel::AttentionKind::local, model.vision_attention(),
                                     {one_image_, uncut_}, self_, "vision");
}

Tensor Decoder::start(const Sample& prompt, i64 more) {
  check_sample(prompt, model_.config());
  length_ = 0;
  reserve(prompt.tokens() + more);
  const ArenaScope scope(memory_.scratch);
  Tensor x = memory_.scratch.take(model_.parameters().dtype(), {prompt.tokens(), model_.language().width()},
                                  "fused embeddings");
  model_.language().embed(x, prompt.ids, model_.parameters(), workspace_.stream);
  place_images(x, prompt);
  return run(x);
}

Tensor Decoder::step(i64 id) {
  const ArenaScope scope(memory_.scratch);
  Tensor x = memory_.scratch.take(model_.parameters().dtype(), {1, model_.language().width()}, "embedding");
  model_.language().embed(x, {&id, 1}, model_.parameters(), workspace_.stream);
  return run(x);
}

void Decoder::reserve(i64 positions) {
  if (positions <= capacity_) return;
  const TextConfig& t = model_.config().text;
  cache_ = OwnedTensor(model_.parameters().dtype(),
                       {model_.language().blocks(), positions, 2 * t.kv_heads * t.head_width}, "KV cache");
  capacity_ = positions;
}

Tensor Decoder::cached(i64 block, i64 first, i64 rows) const {
  const Tensor of_block = cache_->row_range(block, 1);
  return of_block.reshape({capacity_, of_block.extent(2)}).row_range(first, rows);
}

// ---- images

void Decoder::place_images(Tensor x, const Sample& prompt) {
  std::vector<i64> places;
  for (i64 t = 0; t < prompt.tokens(); ++t) {
    if (prompt.ids[static_cast<std::size_t>(t)] == model_.config().image_token) places.push_back(t);
  }
  const auto each = static_cast<std::size_t>(model_.config().features_per_image());
  for (std::size_t i = 0; i < prompt.images.size(); ++i) {
    const ArenaScope saved(memory_.saved);
    ops::scatter_rows(x, features(*prompt.images[i]), std::span(places).subspan(i * each, each),
                      workspace_.stream);
    memory_.frames.drop_to(0);  // no backward
  }
}

// [features of an image, C], in the saved arena.
Tensor Decoder::features(data::ImageSource& image) {
  const VisionConfig& v = model_.config().vision;
  const Tensor pixels = image.pixels();
  check(pixels.elements() == 3 * v.image_size * v.image_size, "pixels {} for images of {}",
        pixels.shape().text(), v.image_size);
  VisionRows rows{.count = v.rows(), .patches = {}, .patch_rows = {}, .class_rows = {0}, .positions = {}};
  rows.patch_rows.resize(static_cast<std::size_t>(v.patches()));
  std::iota(rows.patch_rows.begin(), rows.patch_rows.end(), 1);
  rows.positions.resize(static_cast<std::size_t>(v.rows()));
  std::iota(rows.positions.begin(), rows.positions.end(), 0);
  rows.patches =
      memory_.saved.take(model_.parameters().dtype(), {v.patches(), 3 * v.patch * v.patch}, "patches");
  ops::patch_rows(rows.patches, pixels.reshape({3, v.image_size, v.image_size}), v.patch, 0,
                  workspace_.stream);
  const BlockAttention attention(static_cast<std::size_t>(model_.vision().blocks()), vision_attention_.get());
  const std::vector<Tensor> states = model_.vision().forward(rows, attention, workspace_);
  std::vector<i64> source(static_cast<std::size_t>(model_.config().features_per_image()));
  std::iota(source.begin(), source.end(), model_.config().connector.drop_first_row ? 1 : 0);
  return model_.connector().forward(states, source, workspace_);
}

// ---- language

// Rows x [n, C] of the next n positions through all blocks; their keys and values stay. x is overwritten.
Tensor Decoder::run(Tensor x) {
  const i64 rows = x.rows();
  check(length_ + rows <= capacity_, "{} positions in a cache of {}", length_ + rows, capacity_);
  Arena& scratch = memory_.scratch;
  std::vector<i64> positions(static_cast<std::size_t>(rows));
  std::iota(positions.begin(), positions.end(), length_);
  const RopeTable rope = rope_table(model_.config().text, positions, x.dtype(), scratch);
  Tensor middle = scratch.take(x.dtype(), x.shape(), "block middle");
  for (i64 i = 0; i < model_.language().blocks(); ++i) {
    const ArenaScope scope(scratch);
    const Block& block = model_.language().block(i);
    attend(middle, x, i, rope);
    Tensor up = scratch.take(x.dtype(), {rows, block.shape().mlp_input()}, "mlp input");
    mlp(x, norm_frame(middle, block.ids().mlp_norm, scratch), up, block.shape(), block.ids(),
        model_.parameters(), scratch, workspace_.stream);
  }
  length_ += rows;
  model_.language().logits(logits_, x.row_range(rows - 1, 1), workspace_);
  return logits_;
}

// y [n, C] = x + attention of the next n positions over themselves and all before them.
void Decoder::attend(Tensor y, Tensor x, i64 block, const RopeTable& rope) {
  const BlockShape& s = model_.language().block(block).shape();
  const BlockIds& ids = model_.language().block(block).ids();
  const ParameterRegistry& p = model_.parameters();
  const Stream stream = workspace_.stream;
  Arena& scratch = memory_.scratch;
  const ArenaScope scope(scratch);
  const i64 rows = x.rows(), d = s.head_width;

  Tensor normed = scratch.take(x.dtype(), x.shape(), "norm output");
  norm_rows(normed, norm_frame(x, ids.attention_norm, scratch), 0, ids.attention_norm, s.eps, p, stream);
  const Matrix qkv = scratch.take(x.dtype(), {rows, s.projection()}, "q, k, v");
  linear(qkv, normed, ids.qkv, p, stream);
  const i64 turned = s.heads + s.kv_heads;
  ops::rope(Heads(qkv.columns(0, turned * d), turned, d), rope.cos, rope.sin, ops::Turn::forward, stream);
  ops::copy_matrix(cached(block, length_, rows), qkv.columns(s.heads * d, 2 * s.kv_heads * d), stream);

  const Matrix kv = cached(block, 0, length_ + rows);
  const ops::AttentionSpan span{.q_begin = 0,
                                .q_rows = rows,
                                .k_begin = 0,
                                .k_rows = length_ + rows,
                                .diagonal = length_,
                                .causal = true};
  Tensor result = scratch.take(x.dtype(), {rows, s.heads * d}, "attention result");
  Tensor lse = scratch.take(x.dtype(), {rows, s.heads}, "attention log-sums");
  ops::attention(Heads(result, s.heads, d), lse, Heads(qkv.columns(0, s.heads * d), s.heads, d),
                 Heads(kv.columns(0, s.kv_heads * d), s.kv_heads, d),
                 Heads(kv.columns(s.kv_heads * d, s.kv_heads * d), s.kv_heads, d),
                 {.spans = {&span, 1},
                  .heads = {.first_q = 0, .group = s.heads / s.kv_heads, .first_kv = 0},
                  .scale = model_.language_attention().scale()},
                 scratch, stream);
  linear(y, result, ids.out, p, stream, {.residual = x});
}

// ---- greedy

namespace {

// -1: not all of them are finite.
i64 likeliest(Tensor logits) {
  return dispatch(logits.dtype(), [&](auto zero) -> i64 {
    using T = decltype(zero);
    const T* l = logits.as<T>();
    i64 best = 0;
    for (i64 i = 0; i < logits.elements(); ++i) {
      if (!std::isfinite(l[i])) return -1;
      if (l[i] > l[best]) best = i;
    }
    return best;
  });
}

}  // namespace

Generated generate(Decoder& decoder, const Sample& prompt, const GreedyOptions& options) {
  check(options.max_tokens >= 1, "max_tokens {}", options.max_tokens);
  Generated result;
  Tensor logits = decoder.start(prompt, options.max_tokens - 1);
  for (;;) {
    const i64 id = likeliest(logits);
    require(id >= 0, ExitCode::non_finite,
            "{}: the logits behind position {} are not finite: the weights are damaged, or too large for f32 "
            "(try --dtype f64)",
            prompt.id, decoder.length() - 1);
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
