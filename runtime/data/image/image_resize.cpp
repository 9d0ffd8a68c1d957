#include "runtime/data/image/image_resize.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace longsight::data {
namespace {

using std::int32_t;
using std::uint8_t;

// to[i] = clamp((half + sum over t of weights[t] * from[t * stride + i]) >> 22) for N neighbouring bytes.
// Written as loops over N bytes that the compiler turns into vectors; integer sums have the same bits in any
// order.
template <int N>
void weighted_sum(const uint8_t* from, i64 stride, const int32_t* weights, int taps, uint8_t* to) {
  std::array<int32_t, N> sums;
  sums.fill(1 << (kWeightBits - 1));
  int t = 0;
  for (; t + 4 <= taps; t += 4) {
    const uint8_t* r0 = from + t * stride;
    const uint8_t* r1 = r0 + stride;
    const uint8_t* r2 = r1 + stride;
    const uint8_t* r3 = r2 + stride;
    const int32_t w0 = weights[t], w1 = weights[t + 1], w2 = weights[t + 2], w3 = weights[t + 3];
    for (std::size_t i = 0; i < N; ++i) sums[i] += w0 * r0[i] + w1 * r1[i] + w2 * r2[i] + w3 * r3[i];
  }
  for (; t < taps; ++t) {
    const uint8_t* row = from + t * stride;
    for (std::size_t i = 0; i < N; ++i) sums[i] += weights[t] * row[i];
  }
  for (std::size_t i = 0; i < N; ++i)
    to[i] = static_cast<uint8_t>(std::clamp(sums[i] >> kWeightBits, 0, 255));
}

Image resize_vertically(const Image& image, i64 height, Resample filter) {
  const ResampleTaps taps = resample_taps(image.height, height, filter);
  Image result(height, image.width);
  const i64 row_bytes = image.width * 3;
  for (i64 y = 0; y < height; ++y) {
    const auto i = static_cast<std::size_t>(y);
    const int32_t* weights = taps.weights.data() + y * taps.stride;
    const uint8_t* from = image.row(taps.first[i]);
    uint8_t* to = result.row(y);
    i64 x = 0;
    for (; x + 64 <= row_bytes; x += 64)
      weighted_sum<64>(from + x, row_bytes, weights, taps.count[i], to + x);
    for (; x + 8 <= row_bytes; x += 8) weighted_sum<8>(from + x, row_bytes, weights, taps.count[i], to + x);
    for (; x < row_bytes; ++x) weighted_sum<1>(from + x, row_bytes, weights, taps.count[i], to + x);
  }
  return result;
}

// Rows of a band side by side: pixel x of all kBand rows in 4 * kBand neighbouring bytes (the fourth of a
// pixel is unused), so that the horizontal pass is the same sum over rows as the vertical one.
constexpr i64 kBand = 8;
constexpr i64 kPixelBytes = 4 * kBand;

void interleave(const Image& image, i64 first_row, uint8_t* band) {
  std::array<const uint8_t*, kBand> rows{};
  for (i64 r = 0; r < kBand; ++r) {
    rows[static_cast<std::size_t>(r)] = image.row(std::min(first_row + r, image.height - 1));
  }
  for (i64 x = 0; x + 1 < image.width; ++x) {  // four bytes at a time: the last one is of the next pixel
    for (i64 r = 0; r < kBand; ++r) {
      std::memcpy(band + x * kPixelBytes + r * 4, rows[static_cast<std::size_t>(r)] + x * 3, 4);
    }
  }
  const i64 last = image.width - 1;
  for (i64 r = 0; r < kBand; ++r) {
    std::memcpy(band + last * kPixelBytes + r * 4, rows[static_cast<std::size_t>(r)] + last * 3, 3);
  }
}

Image resize_horizontally(const Image& image, i64 width, Resample filter) {
  const ResampleTaps taps = resample_taps(image.width, width, filter);
  Image result(image.height, width);
  std::vector<uint8_t> band(static_cast<std::size_t>(image.width * kPixelBytes));
  for (i64 y = 0; y < image.height; y += kBand) {
    interleave(image, y, band.data());
    const i64 rows = std::min(kBand, image.height - y);
    for (i64 x = 0; x < width; ++x) {
      const auto i = static_cast<std::size_t>(x);
      std::array<uint8_t, kPixelBytes> pixels;
      weighted_sum<kPixelBytes>(band.data() + taps.first[i] * kPixelBytes, kPixelBytes,
                                taps.weights.data() + x * taps.stride, taps.count[i], pixels.data());
      for (i64 r = 0; r < rows; ++r) std::memcpy(result.row(y + r) + x * 3, pixels.data() + r * 4, 3);
    }
  }
  return result;
}

}  // namespace

bool vertical_pass_first(ImageSize from, ImageSize to, PassOrder order) {
  return order == PassOrder::pillow_13 && to.height < from.height &&
         from.height - to.height > 2 * (from.width - to.width);
}

Image resize_image(const Image& image, ImageSize to, Resample filter, PassOrder order) {
  check(image.height > 0 && image.width > 0 && to.height > 0 && to.width > 0, "resize of {} x {} to {} x {}",
        image.height, image.width, to.height, to.width);
  const bool horizontal = to.width != image.width;
  const bool vertical = to.height != image.height;
  if (!horizontal && !vertical) return image;
  if (!horizontal) return resize_vertically(image, to.height, filter);
  if (!vertical) return resize_horizontally(image, to.width, filter);
  if (vertical_pass_first(image.size(), to, order)) {
    return resize_horizontally(resize_vertically(image, to.height, filter), to.width, filter);
  }
  return resize_vertically(resize_horizontally(image, to.width, filter), to.height, filter);
}

}  // namespace longsight::data
