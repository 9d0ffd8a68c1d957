#include "model/rope_table.h"

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

// Fills cos and sin [rows, half] from angle(row, i).
template <class F>
RopeTable filled(i64 rows, i64 half, double factor, DType dtype, Arena& arena, F&& angle) {
  RopeTable table{.cos = arena.take(dtype, {rows, half}, "rope angles"),
                  .sin = arena.take(dtype, {rows, half}, "rope angles")};
  dispatch(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* cos = table.cos.host<T>();
    T* sin = table.sin.host<T>();
    for (i64 row = 0; row < rows; ++row) {
      for (i64 i = 0; i < half; ++i) {
        const double a = angle(row, i);
        cos[row * half + i] = static_cast<T>(factor * std::cos(a));
        sin[row * half + i] = static_cast<T>(factor * std::sin(a));
      }
    }
  });
  return table;
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

RopeTable rope_table(const TextConfig& config, std::span<const Position> positions,
                     std::span<const i64> lengths, DType dtype, Arena& arena) {
  const RopeConfig& rope = config.rope;
  const i64 half = config.head_width / 2;
  std::map<i64, std::vector<float>> by_length;
  const auto frequencies = [&](i64 length) -> const std::vector<float>& {
    auto& found = by_length[length];
    if (found.empty()) found = inverse_frequencies(rope, config.head_width, length);
    return found;
  };
  // Frequency i turns with this axis of the position.
  std::vector<std::size_t> axis(static_cast<std::size_t>(half), 0);
  std::size_t filled_to = 0;
  for (std::size_t a = 0; a < rope.sections.size(); ++a) {
    for (i64 i = 0; i < rope.sections[a]; ++i) axis[filled_to++] = a;
  }
  const std::vector<float>* inverse = &frequencies(lengths.empty() ? 0 : lengths[0]);
  i64 current = lengths.empty() ? 0 : lengths[0];
  return filled(static_cast<i64>(positions.size()), half, rope.attention_factor, dtype, arena,
                [&](i64 row, i64 i) {
                  const auto r = static_cast<std::size_t>(row), f = static_cast<std::size_t>(i);
                  if (!lengths.empty() && lengths[r] != current) {
                    current = lengths[r];
                    inverse = &frequencies(current);
                  }
                  return static_cast<double>(positions[r][axis[f]]) * (*inverse)[f];
                });
}

RopeTable rope_table(const VisionConfig& config, std::span<const PatchPlace> patches, DType dtype,
                     Arena& arena) {
  constexpr double kTheta = 10000;
  const i64 half = config.head_width() / 2, quarter = half / 2;
  const std::vector<float> inverse = plain_frequencies(kTheta, half);
  return filled(static_cast<i64>(patches.size()), half, 1, dtype, arena, [&](i64 row, i64 i) {
    const PatchPlace& p = patches[static_cast<std::size_t>(row)];
    return static_cast<double>(i < quarter ? p.row : p.column) *
           inverse[static_cast<std::size_t>(i % quarter)];
  });
}

}  // namespace longsight::model
