// Elementary functions that the compiler can vectorise: without branches, tables or calls for f32, std:: for
// f64. Always inlined: where the compiler's budget for a file is spent, a call would end the vectorisation.
// As all formulas, they are those of the host's ops and of CUDA's kernels.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "runtime/base/host_device.h"

namespace longsight::ops::formulas {

// e^x, relative error below 1e-7; 0 below -86.6 (true value 2.5e-38), infinity above 88.72; NaN stays NaN.
// The power of two is split off, the rest in [-ln 2 / 2, ln 2 / 2] is a polynomial (Cephes expf).
[[gnu::always_inline]] LONGSIGHT_HD inline float exp_of(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const float clamped = x < -86.6F ? -86.6F : (x > 88.72F ? 88.72F : x);
  const float shifted = clamped * 1.44269504F + kRound;
  const float n = shifted - kRound;
  float r = clamped - n * 0.693359375F;
  r = r + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  // 2^(n - 1), doubled afterwards, so that n = 128 does not overflow. Unsigned: NaN gives any bits, times
  // NaN.
  const auto bits = (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound) + 126U)
                    << 23;
  // A factor instead of a choice: the compiler would turn the choice into a jump.
  const float outside = x < -86.6F ? 0.0F : (x > 88.72F ? HUGE_VALF : 2.0F);
  return p * std::bit_cast<float>(bits) * outside;
}
LONGSIGHT_HD inline double exp_of(double x) {
  return std::exp(x);
}

// erf(x), relative error below 1e-7: an odd polynomial near 0, 1 - e^p(|x|) elsewhere (coefficients by N.
// Juffa).
[[gnu::always_inline]] LONGSIGHT_HD inline float erf_of(float x) {
  const float t = std::fabs(x);
  const float far_t = t > 4.0F ? 4.0F : t, far_s = far_t * far_t;
  float p = -1.72853470e-5F * far_t + 3.83197126e-4F;
  const float q = -3.88396438e-3F * far_t + 2.42546219e-2F;
  p = p * far_s + q;
  p = p * far_t - 1.06777877e-1F;
  p = p * far_t - 6.34846687e-1F;
  p = p * far_t - 1.28717512e-1F;
  p = p * far_t - far_t;
  const float far_value = std::copysign(1.0F - exp_of(p), x);
  const float near_x = x > 1.0F ? 1.0F : (x < -1.0F ? -1.0F : x), s = near_x * near_x;
  float near_value = -5.96761703e-4F;
  near_value = near_value * s + 4.99119423e-3F;
  near_value = near_value * s - 2.67681349e-2F;
  near_value = near_value * s + 1.12819925e-1F;
  near_value = near_value * s - 3.76125336e-1F;
  near_value = near_value * s + 1.28379166e-1F;
  near_value = near_value * near_x + near_x;
  // Chosen by bits, again without a jump. NaN takes the near value, which keeps it.
  const std::uint32_t far_bits = t > 0.927734375F ? ~0U : 0U;
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(far_value) & far_bits) |
                              (std::bit_cast<std::uint32_t>(near_value) & ~far_bits));
}
LONGSIGHT_HD inline double erf_of(double x) {
  return std::erf(x);
}

// 1 / (1 + e^-x)
template <class T>
[[gnu::always_inline]] LONGSIGHT_HD inline T sigmoid_of(T x) {
  return T(1) / (T(1) + exp_of(-x));
}

}  // namespace longsight::ops::formulas
