#include "model/rope_table.h"

#include <cmath>
#include <numbers>

namespace longsight::model {
namespace {

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

}  // namespace

std::vector<float> inverse_frequencies(const RopeConfig& rope, i64 head_width) {
  std::vector<float> inverse;
  for (i64 i = 0; i < head_width; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(head_width);
    float inv = 1.0F / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.scaling == RopeConfig::Scaling::linear) inv /= static_cast<float>(rope.factor);
    if (rope.scaling == RopeConfig::Scaling::llama3) inv = llama3_scaled(inv, rope);
    inverse.push_back(inv);
  }
  return inverse;
}

RopeTable rope_table(const TextConfig& config, std::span<const i64> positions, DType dtype, Arena& arena) {
  const auto inverse = inverse_frequencies(config.rope, config.head_width);
  const i64 half = static_cast<i64>(inverse.size());
  const i64 rows = static_cast<i64>(positions.size());
  RopeTable table{.cos = arena.take(dtype, {rows, half}, "rope angles"),
                  .sin = arena.take(dtype, {rows, half}, "rope angles")};
  dispatch(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* cos = table.cos.as<T>();
    T* sin = table.sin.as<T>();
    for (i64 row = 0; row < rows; ++row) {
      for (i64 i = 0; i < half; ++i) {
        const double angle = static_cast<double>(positions[static_cast<std::size_t>(row)]) *
                             inverse[static_cast<std::size_t>(i)];
        cos[row * half + i] = static_cast<T>(std::cos(angle));
        sin[row * half + i] = static_cast<T>(std::sin(angle));
      }
    }
  });
  return table;
}

}  // namespace longsight::model
