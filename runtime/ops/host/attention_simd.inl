// Vectors of the instruction set that attention_tile.inl is compiled for, and 2^x on them.
#pragma once

namespace longsight::ops::host {
namespace {

#define LONGSIGHT_INLINE [[gnu::always_inline]] inline

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t Integer __attribute__((vector_size(kVectorBytes)));
  typedef std::uint32_t Bits __attribute__((vector_size(kVectorBytes)));
  static constexpr float kRound = 12582912.f;  // 1.5 * 2^23: x + it holds the nearest integer in its low bits
  static constexpr int kMantissa = 23;
  static constexpr std::uint32_t kBias = 127;
  static constexpr float kSmallest = -125.f;
  // 2^r = 1 + r * sum c_k r^k on [-1/2, 1/2], from Chebyshev nodes: relative error 5e-9.
  static constexpr float kPower[] = {0.6931471880262288f,   0.24022650760568126f,   0.05550357114219078f,
                                     0.009618082557277852f, 0.0013390863364671234f, 0.0001545316294512069f};
};
template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t Integer __attribute__((vector_size(kVectorBytes)));
  typedef std::uint64_t Bits __attribute__((vector_size(kVectorBytes)));
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr int kMantissa = 52;
  static constexpr std::uint64_t kBias = 1023;
  static constexpr double kSmallest = -1021;
  // As above: relative error 8e-18.
  static constexpr double kPower[] = {0.6931471805599453,    0.24022650695910097,   0.0555041086648216,
                                      0.009618129107606888,  0.0013333558146416936, 0.0001540353044173605,
                                      1.525273382983612e-05, 1.321544258792169e-06, 1.0178062445845774e-07,
                                      7.072585949269223e-09, 4.4549605981865186e-10};
};
template <class T>
using Vec = typename Simd<T>::Vector;
template <class T>
constexpr i64 kLanes = kVectorBytes / static_cast<i64>(sizeof(T));

constexpr double kLog2e = 1.44269504088896340736;
constexpr double kLn2 = 0.69314718055994530942;

template <class T>
LONGSIGHT_INLINE Vec<T> load(const T* from) {
  Vec<T> x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
template <class T>
LONGSIGHT_INLINE void store(T* to, Vec<T> x) {
  __builtin_memcpy(to, &x, sizeof x);
}

// bf16 in memory is a vector of float: its upper halves, rounded as bf16.h does.
typedef std::uint16_t Halves __attribute__((vector_size(kVectorBytes / 2)));
LONGSIGHT_INLINE Vec<float> widened(Halves x) {
  return reinterpret_cast<Vec<float>>(__builtin_convertvector(x, Simd<float>::Bits) << 16);
}
LONGSIGHT_INLINE Halves rounded(Vec<float> x) {
  using Bits = Simd<float>::Bits;
  const Bits bits = reinterpret_cast<Bits>(x);
  const Bits nearest = bits + 0x7FFFU + (bits >> 16 & 1U), quiet_nan = bits | 0x400000U;
  return __builtin_convertvector(((bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet_nan : nearest) >> 16, Halves);
}
LONGSIGHT_INLINE Vec<float> load(const bf16* from) {
  Halves x;
  __builtin_memcpy(&x, from, sizeof x);
  return widened(x);
}
LONGSIGHT_INLINE void store(bf16* to, Vec<float> x) {
  const Halves halves = rounded(x);
  __builtin_memcpy(to, &halves, sizeof halves);
}

template <class T>
LONGSIGHT_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};
}
template <class T>
LONGSIGHT_INLINE Vec<T> lane_numbers() {
  Vec<T> x{};
  for (i64 i = 0; i < kLanes<T>; ++i) x[i] = static_cast<T>(i);
  return x;
}
constexpr i64 vectors_of(i64 count, i64 lanes) {
  return (count + lanes - 1) / lanes;
}
constexpr i64 clamped(i64 x, i64 low, i64 high) {
  return x < low ? low : x > high ? high : x;
}

// The last `count` < L elements of a row at from; the other lanes become zero. Where whole vectors lie before
// them (`inner`), one that ends with the row is read and shifted.
template <class In, class T = Statistics<In>>
LONGSIGHT_INLINE Vec<T> load_tail(const In* from, i64 count, bool inner) {
  constexpr i64 L = kLanes<T>;
  if (!inner) {
    if constexpr (std::is_same_v<In, bf16>) {
      Halves x{};
      for (i64 i = 0; i < count; ++i) x[i] = from[i].bits;
      return widened(x);
    } else {
      Vec<T> x{};
      for (i64 i = 0; i < count; ++i) x[i] = from[i];
      return x;
    }
  }
  typename Simd<T>::Integer index{};
  for (int i = 0; i < static_cast<int>(L); ++i) index[i] = i;
  const Vec<T> shifted = __builtin_shuffle(load(from + count - L), index + static_cast<int>(L - count));
  return lane_numbers<T>() < static_cast<T>(count) ? shifted : Vec<T>{};
}
template <class T>
LONGSIGHT_INLINE void store_tail(T* to, Vec<T> x, i64 count) {
  for (i64 i = 0; i < count; ++i) to[i] = x[i];
}
LONGSIGHT_INLINE void store_tail(bf16* to, Vec<float> x, i64 count) {
  const Halves halves = rounded(x);
  for (i64 i = 0; i < count; ++i) to[i].bits = halves[i];
}

// Base 2 and no case for large x: half the operations of exp_of (host_math.h), and attention needs no more.
// 2^x for x up to about 100; 0 below kSmallest (no denormals), also for x = -infinity. NaN stays NaN.
template <class T>
LONGSIGHT_INLINE Vec<T> exp2_of(Vec<T> x) {
  using S = Simd<T>;
  using Bits = typename S::Bits;
  const Vec<T> shifted = x + S::kRound;
  const Vec<T> r = x - (shifted - S::kRound);
  constexpr int terms = sizeof S::kPower / sizeof S::kPower[0];
  Vec<T> p = splat(S::kPower[terms - 1]);
#pragma GCC unroll 16
  for (int i = terms - 2; i >= 0; --i) p = p * r + S::kPower[i];
  p = p * r + T(1);
  // Multiplied, not added to the exponent: a NaN stays one whatever its payload.
  const Vec<T> power = reinterpret_cast<Vec<T>>((reinterpret_cast<Bits>(shifted) + S::kBias) << S::kMantissa);
  return x < S::kSmallest ? Vec<T>{} : p * power;
}

}  // namespace
}  // namespace longsight::ops::host
