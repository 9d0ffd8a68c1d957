// Model shapes and batches for tests of the planner.
#pragma once

#include <random>

#include "parallel/paper_group.h"
#include "parallel/planner.h"

namespace longsight::parallel {

inline TowerShape tower(std::string name, i64 blocks, i64 heads, i64 kv_heads, i64 head_width,
                        i64 intermediate) {
  TowerShape t;
  t.name = std::move(name);
  t.blocks = t.backward_blocks = blocks;
  t.heads = heads;
  t.kv_heads = kv_heads;
  t.head_width = head_width;
  t.width = heads * head_width;
  t.intermediate = intermediate;
  return t;
}

// A LLaVA-shaped model; head counts as given, all of it trained.
inline ModelShape llava_shape(i64 vision_heads, i64 heads, i64 kv_heads, i64 vision_blocks = 23,
                              i64 blocks = 32) {
  ModelShape m;
  m.vision = tower("vision", vision_blocks, vision_heads, vision_heads, 64, 256 * vision_heads);
  m.vision.norm_statistics = 2;
  m.language = tower("language", blocks, heads, kv_heads, 128, 344 * heads);
  m.language.gated = m.language.causal = true;
  m.patch_inputs = 588;
  m.class_rows = 1;
  m.patches_per_tile = 576;
  m.first_feature_row = 1;
  m.connector.input = m.vision.width;
  m.connector.middle = m.language.width;
  m.vocab = 32064;
  const auto block = [](const TowerShape& t) {
    return t.width * (t.projection() + t.heads * t.head_width) + t.width * (t.mlp_input() + t.intermediate);
  };
  m.vision_parameters.values = m.vision_parameters.trained = vision_blocks * block(m.vision);
  m.connector_parameters.values = m.connector_parameters.trained =
      m.language.width * (m.connector.input + m.language.width);
  m.language_parameters.values = m.language_parameters.trained =
      blocks * block(m.language) + 2 * m.vocab * m.language.width;
  m.vision_embedding_trained = m.token_embedding_trained = m.head_trained = true;
  return m;
}

// The same, small enough that layouts can be walked token by token.
inline ModelShape tiny_shape(i64 vision_heads, i64 heads, i64 kv_heads) {
  ModelShape m = llava_shape(vision_heads, heads, kv_heads, 2, 3);
  m.patches_per_tile = 9;
  m.vocab = 97;
  return m;
}

inline i64 draw(std::mt19937& random, i64 first, i64 last) {
  return std::uniform_int_distribution<i64>(first, last)(random);
}

// Samples of every kind: with several images, with one, without; a few or no targets.
inline std::vector<SampleStatistics> random_samples(std::mt19937& random, const ModelShape& m, i64 count) {
  std::vector<SampleStatistics> samples;
  for (i64 i = 0; i < count; ++i) {
    const i64 images = draw(random, 0, 3);
    const i64 text = draw(random, 1, 40);
    samples.push_back(
        {images * m.features_of_tile(m.patches_per_tile) + text, images, draw(random, 0, text - 1), 0});
  }
  return samples;
}

}  // namespace longsight::parallel
