// Rounded after every operation, as in Pillow's x86-64 builds, which have no fused multiply-add.
#pragma GCC optimize("fp-contract=off")

#include "runtime/data/image/resample_taps.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longsight::data {
namespace {

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys' cubic with a = -0.5, in the order of operations of Pillow.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) {
  return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

struct Filter {
  double (*weight)(double);
  double support;
};

Filter filter_of(Resample filter) {
  switch (filter) {
    case Resample::bilinear:
      return {bilinear, 1.0};
    case Resample::bicubic:
      return {bicubic, 2.0};
    case Resample::lanczos:
      return {lanczos, 3.0};
  }
  check(false, "no filter number {}", static_cast<int>(filter));
  return {};
}

std::int32_t fixed_point(double weight) {  // half away from zero
  return static_cast<std::int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kWeightBits));
}

}  // namespace

ResampleTaps resample_taps(i64 in, i64 out, Resample filter) {
  check(in > 0 && out > 0, "resize from {} to {}", in, out);
  const Filter f = filter_of(filter);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double filter_scale = scale < 1.0 ? 1.0 : scale;
  const double support = f.support * filter_scale;
  const double inverse = 1.0 / filter_scale;

  ResampleTaps taps;
  taps.stride = static_cast<i64>(std::ceil(support)) * 2 + 1;
  taps.first.resize(static_cast<std::size_t>(out));
  taps.count.resize(static_cast<std::size_t>(out));
  taps.weights.resize(static_cast<std::size_t>(checked_mul(out, taps.stride)));
  std::vector<double> weights(static_cast<std::size_t>(taps.stride));
  for (i64 i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const i64 begin = std::max(i64{0}, static_cast<i64>(center - support + 0.5));
    const i64 end = std::min(in, static_cast<i64>(center + support + 0.5));
    const i64 count = end - begin;
    double sum = 0.0;
    for (i64 t = 0; t < count; ++t) {
      const double w = f.weight((static_cast<double>(t + begin) - center + 0.5) * inverse);
      weights[static_cast<std::size_t>(t)] = w;
      sum += w;
    }
    std::int32_t* to = taps.weights.data() + i * taps.stride;
    for (i64 t = 0; t < count; ++t) {
      const double w = weights[static_cast<std::size_t>(t)];
      to[t] = fixed_point(sum != 0.0 ? w / sum : w);
    }
    taps.first[static_cast<std::size_t>(i)] = begin;
    taps.count[static_cast<std::size_t>(i)] = static_cast<int>(count);
  }
  return taps;
}

}  // namespace longsight::data
