#include "model/inputs/rope_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

namespace longsight::model {
namespace {

using Scaling = RopeConfig::Scaling;

std::vector<float> plain_frequencies(double theta, i64 head_width) {
  std::vector<float> inverse;
  for (i64 i = 0; i < head_width; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(head_width);
    inverse.push_back(1.0F / std::pow(static_cast<float>(theta), exponent));
  }
  return inverse;
}

// Llama 3.1: long waves are stretched by `factor`, short ones kept, those between blended.
float llama3_scaled(float inv, const RopeConfig& rope) {
  const double wave = 2 * std::numbers::pi / inv;
  const double original = static_cast<double>(rope.original_positions);
  if (wave > original / rope.low_freq_factor) return static_cast<float>(inv / rope.factor);
  if (wave < original / rope.high_freq_factor) return inv;
  const double smooth =
      (original / wave - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return static_cast<float>((1 - smooth) * inv / rope.factor + smooth * inv);
}

// NTK-aware: the base grows once the sample is longer than the training before was. In f32 as transformers
// counts it.
double dynamic_theta(const RopeConfig& rope, i64 head_width, i64 length) {
  const float n = static_cast<float>(std::max(length, rope.original_positions)),
              original = static_cast<float>(rope.original_positions);
  if (n == original) return rope.theta;
  const float factor = static_cast<float>(rope.factor), d = static_cast<float>(head_width);
  const float growth = factor * n / original - static_cast<float>(rope.factor - 1);
  return static_cast<float>(rope.theta) * std::pow(growth, d / (d - 2));
}

// YaRN (Peng et al. 2023): frequencies that turn often in the original length are kept, those that do not are
// divided by the factor, with a ramp between.
void yarn_scale(std::vector<float>& inverse, const RopeConfig& rope, i64 head_width) {
  const double d = static_cast<double>(head_width);
  const auto dimension = [&](double rotations) {
    return d * std::log(static_cast<double>(rope.original_positions) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  const double low = std::max(std::floor(dimension(rope.beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension(rope.beta_slow)), d - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const float ramp =
        static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    const float scaled = inverse[i] / static_cast<float>(rope.factor);
    inverse[i] = scaled * ramp + inverse[i] * (1 - ramp);
  }
}

}  // namespace

bool depends_on_length(const RopeConfig& rope) {
  return rope.scaling == Scaling::dynamic;
}

std::vector<float> inverse_frequencies(const RopeConfig& rope, i64 head_width, i64 length) {
  const double theta =
      rope.scaling == Scaling::dynamic ? dynamic_theta(rope, head_width, length) : rope.theta;
  std::vector<float> inverse = plain_frequencies(theta, head_width);
  if (rope.scaling == Scaling::linear) {
    for (float& inv : inverse) inv /= static_cast<float>(rope.factor);
  }
  if (rope.scaling == Scaling::llama3) {
    for (float& inv : inverse) inv = llama3_scaled(inv, rope);
  }
  if (rope.scaling == Scaling::yarn) yarn_scale(inverse, rope, head_width);
  return inverse;
}

ops::RopeAngles rope_angles(const TextConfig& config, std::span<const Position> positions,
                            std::span<const i64> lengths) {
  const RopeConfig& rope = config.rope;
  ops::RopeAngles angles{.rows = static_cast<i64>(positions.size()), .half = config.head_width / 2};
  angles.factor = rope.attention_factor;
  angles.axes = rope.sections.empty() ? 1 : static_cast<i64>(rope.sections.size());
  std::vector<i64> rows, axis(static_cast<std::size_t>(angles.half)), sets;
  std::vector<float> frequencies;
  for (const Position& position : positions)
    rows.insert(rows.end(), position.begin(), position.begin() + angles.axes);
  std::size_t filled_to = 0;
  for (std::size_t a = 0; a < rope.sections.size(); ++a) {
    for (i64 i = 0; i < rope.sections[a]; ++i) axis[filled_to++] = static_cast<i64>(a);
  }
  std::map<i64, i64> set_of;  // by length
  const auto set = [&](i64 length) {
    const auto [found, added] = set_of.emplace(length, static_cast<i64>(set_of.size()));
    if (added) {
      const std::vector<float> inverse = inverse_frequencies(rope, config.head_width, length);
      frequencies.insert(frequencies.end(), inverse.begin(), inverse.end());
    }
    return found->second;
  };
  for (i64 length : lengths) sets.push_back(set(length));
  if (lengths.empty()) set(0);
  angles.positions = std::move(rows);
  angles.axis = std::move(axis);
  angles.inverse = std::move(frequencies);
  angles.set = std::move(sets);
  return angles;
}

ops::RopeAngles rope_angles(const VisionConfig& config, std::span<const PatchPlace> patches) {
  constexpr double kTheta = 10000;
  const i64 half = config.head_width() / 2, quarter = half / 2;
  ops::RopeAngles angles{.rows = static_cast<i64>(patches.size()), .half = half, .axes = 2};
  std::vector<i64> rows, axis;
  std::vector<float> frequencies;
  for (const PatchPlace& p : patches) rows.insert(rows.end(), {p.row, p.column});
  const std::vector<float> inverse = plain_frequencies(kTheta, half);
  for (i64 i = 0; i < half; ++i) {
    axis.push_back(i < quarter ? 0 : 1);
    frequencies.push_back(inverse[static_cast<std::size_t>(i % quarter)]);
  }
  angles.positions = std::move(rows);
  angles.axis = std::move(axis);
  angles.inverse = std::move(frequencies);
  return angles;
}

void add_angles(Upload& upload, const ops::RopeAngles& angles) {
  for (const SharedList<i64>* list : {&angles.positions, &angles.axis, &angles.set}) upload.add(*list);
  upload.add(angles.inverse);
}

RopeTable rope_table(const ops::RopeAngles& angles, DType heads, Arena& arena, Stream stream) {
  if (angles.half == 0) return {};
  const DType dtype = statistics_of(heads);
  const RopeTable table{.cos = arena.take(dtype, {angles.rows, angles.half}, "rope angles"),
                        .sin = arena.take(dtype, {angles.rows, angles.half}, "rope angles")};
  ops::rope_angles(table.cos, table.sin, angles, stream);
  return table;
}

}  // namespace longsight::model
