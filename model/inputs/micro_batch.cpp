#include "model/inputs/micro_batch.h"

#include <algorithm>

#include "model/inputs/rope_table.h"
#include "model/inputs/vision_stream.h"

namespace longsight::model {
namespace {

constexpr i64 kIgnored = -100;

// The placeholders of each image stand together, are of its kind and as many as its features.
void check_placeholders(const Sample& s, const ModelConfig& config) {
  const i64 features = visual_tokens(s, config);
  const i64 placeholders =
      std::count_if(s.ids.begin(), s.ids.end(), [&](i64 id) { return config.is_placeholder(id); });
  require(placeholders == features, ExitCode::bad_data,
          "{}: {} image placeholder tokens but {} images make {} features", s.id, placeholders,
          s.images.size(), features);
  std::size_t at = 0;
  for (std::size_t i = 0; i < s.images.size(); ++i) {
    const data::ImageLayout& layout = s.images[i]->layout();
    const i64 wanted = layout.video ? config.video_token : config.image_token;
    bool first = true;
    for (i64 n = config.features(layout); n > 0; --n, ++at) {
      const std::size_t before = at;
      while (!config.is_placeholder(s.ids[at])) ++at;
      require(s.ids[at] == wanted, ExitCode::bad_data,
              "{}: token {} is the placeholder of {}, but {} {} is {}", s.id, at,
              layout.video ? "an image" : "a video", "visual input", i + 1,
              layout.video ? "a video" : "an image");
      // Tiles may have text between them (SmolVLM), what M-RoPE counts by may not.
      require(first || at == before || config.text.rope.sections.empty(), ExitCode::bad_data,
              "{}: the placeholders of image {} are interrupted at token {}", s.id, i + 1, before);
      first = false;
    }
  }
}

}  // namespace

i64 supervised_tokens(const Sample& sample) {
  if (sample.labels.empty()) return 0;
  return std::count_if(sample.labels.begin() + 1, sample.labels.end(),
                       [](i64 label) { return label != kIgnored; });
}

i64 visual_tokens(const Sample& sample, const ModelConfig& config) {
  i64 tokens = 0;
  for (const auto& image : sample.images) tokens += config.features(image->layout());
  return tokens;
}

void check_sample(const Sample& s, const ModelConfig& config) {
  require(!s.ids.empty(), ExitCode::bad_data, "{}: a sample without tokens", s.id);
  require(s.ids.size() == s.labels.size(), ExitCode::bad_data, "{}: {} token ids but {} labels", s.id,
          s.ids.size(), s.labels.size());
  require(s.prefix >= 0 && s.prefix <= s.tokens(), ExitCode::bad_data, "{}: a prefix of {} of {} tokens",
          s.id, s.prefix, s.tokens());
  for (i64 id : s.ids) {
    require(id >= 0 && id < config.text.vocab, ExitCode::bad_data,
            "{}: token id {} is outside the vocabulary of {}", s.id, id, config.text.vocab);
  }
  for (i64 label : s.labels) {
    require(label == kIgnored || (label >= 0 && label < config.text.vocab), ExitCode::bad_data,
            "{}: label {} is outside the vocabulary of {}", s.id, label, config.text.vocab);
  }
  require(s.images.empty() || config.has_vision(), ExitCode::bad_data,
          "{}: {} images for a model without a vision tower", s.id, s.images.size());
  check_placeholders(s, config);
}

void append_image(MicroBatch& batch, const std::shared_ptr<data::ImageSource>& image,
                  const ModelConfig& config) {
  parallel::Geometry& g = batch.geometry;
  const VisionConfig& v = config.vision;
  const data::ImageLayout& layout = image->layout();
  const TileOrder order = tile_order(config, layout);
  const i64 blocks = static_cast<i64>(order.blocks.size()), down = layout.rows / v.merge,
            across = layout.columns / v.merge;
  g.class_rows = v.class_rows();
  g.merge = v.merged();
  // Where block b of a tile stands in the stream.
  std::vector<i64> place(static_cast<std::size_t>(blocks));
  for (i64 i = 0; i < blocks; ++i)
    place[static_cast<std::size_t>(order.blocks[static_cast<std::size_t>(i)])] = i;
  for (i64 tile = 0; tile < layout.tiles; ++tile) {
    const i64 start = g.images.rows();
    if (v.merge == 1) {
      // One row, one feature; the first row of a tile may be left out, whatever it is.
      const i64 rows = config.rows_per_tile(layout);
      for (i64 row = rows - config.features_per_tile(layout); row < rows; ++row)
        g.feature_rows.push_back(start + row);
    } else {
      for (i64 f = 0; f < blocks; ++f) {
        const i64 block = config.connector.blocks_by_column ? f % down * across + f / down : f;
        g.feature_rows.push_back(start + v.class_rows() +
                                 place[static_cast<std::size_t>(block)] * v.merged());
      }
    }
    g.images.append(config.rows_per_tile(layout));
    for (i64 rows : order.windows) g.windows.append(rows);
  }
  batch.images.push_back(image);
}

MicroBatch pack(std::span<const Sample> samples, const ModelConfig& config) {
  MicroBatch batch;
  parallel::Geometry& g = batch.geometry;
  g.class_rows = config.vision.class_rows();
  g.merge = config.vision.merged();
  for (const Sample& s : samples) {
    check_sample(s, config);
    const i64 start = g.samples.rows();
    for (i64 t = 0; t < s.tokens(); ++t) {
      const auto i = static_cast<std::size_t>(t);
      batch.ids.push_back(s.ids[i]);
      if (config.is_placeholder(s.ids[i])) g.feature_positions.push_back(start + t);
      if (t + 1 < s.tokens() && s.labels[i + 1] != kIgnored) {
        g.supervised_positions.push_back(start + t);
        g.targets.push_back(s.labels[i + 1]);
      }
    }
    g.samples.append(s.tokens());
    if (config.prefix_attention) g.prefixes.push_back(s.prefix);
    std::vector<data::ImageLayout> layouts;
    for (const auto& image : s.images) {
      append_image(batch, image, config);
      layouts.push_back(image->layout());
    }
    const std::vector<Position> positions = positions_of(s.ids, layouts, config);
    batch.positions.insert(batch.positions.end(), positions.begin(), positions.end());
    if (depends_on_length(config.text.rope)) {
      batch.rope_lengths.insert(batch.rope_lengths.end(), s.ids.size(),
                                s.rope_length > 0 ? s.rope_length : s.tokens());
    }
  }
  return batch;
}

}  // namespace longsight::model
