#include "model/flops.h"

namespace longsight::model {
namespace {

double real(i64 n) {
  return static_cast<double>(n);
}

}  // namespace

double forward_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const VisionConfig& v = c.vision;
  const TextConfig& t = c.text;
  const double images = real(g.images.count()), rows = real(g.images.rows()), tokens = real(g.samples.rows());
  const double vision_row =
      2.0 * (4 * real(v.width) * real(v.width) + 2 * real(v.width) * real(v.intermediate));
  const double vision_pairs = images * real(v.rows()) * real(v.rows());
  const double vision = real(c.vision_blocks_run()) * (rows * vision_row + 4 * vision_pairs * real(v.width)) +
                        images * real(v.patches()) * 2 * 3 * real(v.patch * v.patch) * real(v.width);
  const double connector =
      real(g.features()) * 2 * (real(c.connector_input()) * real(t.width) + real(t.width) * real(t.width));
  double pairs = 0;
  for (i64 s = 0; s < g.samples.count(); ++s) {
    const double n = real(g.samples.starts[static_cast<std::size_t>(s) + 1] -
                          g.samples.starts[static_cast<std::size_t>(s)]);
    pairs += n * (n + 1) / 2;
  }
  const double q = real(t.heads * t.head_width), kv = real(t.kv_heads * t.head_width);
  const double language_row =
      2 * (2 * real(t.width) * q + 2 * real(t.width) * kv + 3 * real(t.width) * real(t.intermediate));
  const double language = real(t.layers) * (tokens * language_row + 4 * pairs * q);
  return vision + connector + language + real(g.supervised()) * 2 * real(t.width) * real(t.vocab);
}

}  // namespace longsight::model
