#include "model/micro_batch.h"

#include <algorithm>

namespace longsight::model {
namespace {

constexpr i64 kIgnored = -100;

}  // namespace

i64 supervised_tokens(const Sample& sample) {
  if (sample.labels.empty()) return 0;
  return std::count_if(sample.labels.begin() + 1, sample.labels.end(),
                       [](i64 label) { return label != kIgnored; });
}

void check_sample(const Sample& s, const ModelConfig& config) {
  require(!s.ids.empty(), ExitCode::bad_data, "{}: a sample without tokens", s.id);
  require(s.ids.size() == s.labels.size(), ExitCode::bad_data, "{}: {} token ids but {} labels", s.id,
          s.ids.size(), s.labels.size());
  for (i64 id : s.ids) {
    require(id >= 0 && id < config.text.vocab, ExitCode::bad_data,
            "{}: token id {} is outside the vocabulary of {}", s.id, id, config.text.vocab);
  }
  for (i64 label : s.labels) {
    require(label == kIgnored || (label >= 0 && label < config.text.vocab), ExitCode::bad_data,
            "{}: label {} is outside the vocabulary of {}", s.id, label, config.text.vocab);
  }
  const i64 placeholders = std::count(s.ids.begin(), s.ids.end(), config.image_token);
  const i64 features = static_cast<i64>(s.images.size()) * config.features_per_image();
  require(placeholders == features, ExitCode::bad_data,
          "{}: {} image placeholder tokens but {} images of {} tokens each make {} features", s.id,
          placeholders, s.images.size(), config.features_per_image(), features);
}

MicroBatch pack(std::span<const Sample> samples, const ModelConfig& config) {
  MicroBatch batch;
  parallel::Geometry& g = batch.geometry;
  g.class_rows = 1;
  for (const Sample& s : samples) {
    check_sample(s, config);
    const i64 start = g.samples.rows();
    for (i64 t = 0; t < s.tokens(); ++t) {
      const auto i = static_cast<std::size_t>(t);
      batch.ids.push_back(s.ids[i]);
      batch.positions.push_back(t);
      if (s.ids[i] == config.image_token) g.feature_positions.push_back(start + t);
      if (t + 1 < s.tokens() && s.labels[i + 1] != kIgnored) {
        g.supervised_positions.push_back(start + t);
        g.targets.push_back(s.labels[i + 1]);
      }
    }
    g.samples.append(s.tokens());
    for (const auto& image : s.images) {
      const i64 first = g.images.rows() + (config.connector.drop_first_row ? 1 : 0);
      for (i64 f = 0; f < config.features_per_image(); ++f) g.feature_rows.push_back(first + f);
      g.images.append(config.vision.rows());
      batch.images.push_back(image);
    }
  }
  return batch;
}

}  // namespace longsight::model
