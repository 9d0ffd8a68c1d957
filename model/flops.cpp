#include "model/flops.h"

#include "runtime/ops/attention.h"

namespace longsight::model {
namespace {

double real(i64 n) {
  return static_cast<double>(n);
}

// Pairs of query and key that see each other, over sequences where all do.
double all_pairs(const parallel::PackedSequences& sequences) {
  double pairs = 0;
  for (i64 s = 0; s < sequences.count(); ++s) {
    const double n = real(sequences.length(s));
    pairs += n * n;
  }
  return pairs;
}

// The same where a query sees the keys up to itself, at most `window` of them (0: all), and the prefix.
double causal_pairs(const parallel::Geometry& g, i64 window) {
  double pairs = 0;
  for (i64 s = 0; s < g.samples.count(); ++s) {
    const ops::AttentionSpan span{.q_rows = g.samples.length(s),
                                  .k_rows = g.samples.length(s),
                                  .window = window,
                                  .prefix = g.prefixes.empty() ? 0 : g.prefixes[static_cast<std::size_t>(s)]};
    pairs += real(ops::visible_pairs({&span, 1}));
  }
  return pairs;
}

double vision_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const VisionConfig& v = c.vision;
  const double width = real(v.width), rows = real(g.images.rows());
  const double row = 2 * (4 * width * width + (v.gated ? 3 : 2) * width * real(v.intermediate));
  double flops = (rows - real(g.images.count() * v.class_rows())) * 2 * real(v.patch_inputs()) * width;
  for (i64 block = 0; block < c.vision_blocks_run(); ++block)
    flops += rows * row + vision_attention_flops(c, g, block);
  return flops;
}

double connector_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const double in = real(c.connector_input()), middle = real(c.connector.middle), out = real(c.text.width);
  return real(g.features()) * 2 * (c.connector.middle > 0 ? in * middle + middle * out : in * out);
}

double language_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const TextConfig& t = c.text;
  const double q = real(t.heads * t.head_width), kv = real(t.kv_heads * t.head_width);
  const double row =
      2 * (2 * real(t.width) * q + 2 * real(t.width) * kv + 3 * real(t.width) * real(t.intermediate));
  double flops = real(g.supervised()) * 2 * real(t.width) * real(t.vocab);
  for (i64 block = 0; block < t.layers; ++block)
    flops += real(g.samples.rows()) * row + language_attention_flops(c, g, block);
  return flops;
}

}  // namespace

double vision_attention_flops(const ModelConfig& c, const parallel::Geometry& g, i64 block) {
  return 4 * real(c.vision.width) * all_pairs(c.vision.windowed(block) ? g.windows : g.images);
}

double language_attention_flops(const ModelConfig& c, const parallel::Geometry& g, i64 block) {
  const TextConfig& t = c.text;
  return 4 * real(t.heads * t.head_width) * causal_pairs(g, t.windowed(block) ? t.window : 0);
}

double forward_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const double vision = c.has_vision() ? vision_flops(c, g) + connector_flops(c, g) : 0;
  return vision + language_flops(c, g);
}

}  // namespace longsight::model
