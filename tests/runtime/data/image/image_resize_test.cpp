#include "runtime/data/image/image_resize.h"

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/base/philox.h"
#include "tests/support/digest.h"

using namespace longsight;
using namespace longsight::data;

namespace {

// As scripts/make_resize_fixture.py fills it.
Image fixture_image(ImageSize size, u64 seed) {
  const Philox random(seed, "resize fixture");
  Image image(size.height, size.width);
  for (std::size_t i = 0; i < image.rgb.size(); i += 8) {
    const u64 bits = random.bits(i / 8);
    for (std::size_t k = 0; k < 8 && i + k < image.rgb.size(); ++k) {
      const auto byte = static_cast<std::uint8_t>(bits >> (8 * k));
      image.rgb[i + k] = seed % 2 == 0 ? byte : static_cast<std::uint8_t>(byte % 2 * 255);
    }
  }
  return image;
}

}  // namespace

TEST_CASE("resized images are Pillow's to the bit, with the pass order of Pillow 13 and of Pillow 12") {
  const Json cases = read_json_file("tests/goldens/resize/expected.json");
  CHECK(cases.size() >= 200);
  int order_matters = 0;
  for (const Json& c : cases) {
    CAPTURE(c.dump());
    const ImageSize from{c[0].get<i64>(), c[1].get<i64>()};
    const ImageSize to{c[2].get<i64>(), c[3].get<i64>()};
    const auto filter = static_cast<Resample>(c[4].get<int>());
    const Image image = fixture_image(from, c[5].get<u64>());
    const Image resized = resize_image(image, to, filter);
    CHECK(resized.size() == to);
    CHECK(test::digest(resized) == c[6].get<std::string>());
    CHECK(test::digest(resize_image(image, to, filter, PassOrder::pillow_12)) == c[7].get<std::string>());
    order_matters += c[6] != c[7];
  }
  CHECK(order_matters > 40);
}

TEST_CASE("the vertical pass comes first exactly where Pillow 13 begins with it") {
  const auto first = [](ImageSize from, ImageSize to) {
    return vertical_pass_first(from, to, PassOrder::pillow_13);
  };
  CHECK_FALSE(first({50, 30}, {30, 20}));  // 20 = 2 * 10
  CHECK(first({51, 30}, {30, 20}));
  CHECK_FALSE(first({49, 30}, {30, 20}));
  CHECK(first({31, 20}, {30, 30}));        // the height shrinks, the width grows
  CHECK_FALSE(first({30, 20}, {30, 60}));  // the height does not shrink
  CHECK_FALSE(first({30, 20}, {31, 60}));
  CHECK_FALSE(vertical_pass_first({51, 30}, {30, 20}, PassOrder::pillow_12));
}

TEST_CASE("resizing to the same size changes nothing, and one colour stays one colour") {
  const Image image = fixture_image({9, 14}, 3);
  CHECK(resize_image(image, {9, 14}, Resample::bicubic).rgb == image.rgb);
  Image plain(13, 7);
  for (std::size_t i = 0; i < plain.rgb.size(); ++i)
    plain.rgb[i] = static_cast<std::uint8_t>(17 + 100 * (i % 3));
  for (const Resample filter : {Resample::bilinear, Resample::bicubic, Resample::lanczos}) {
    const Image larger = resize_image(plain, {40, 31}, filter);
    for (std::size_t i = 0; i < larger.rgb.size(); ++i) REQUIRE(larger.rgb[i] == 17 + 100 * (i % 3));
  }
}

TEST_CASE("the weights of each output pixel sum to one, up to the rounding of each") {
  for (const Resample filter : {Resample::bilinear, Resample::bicubic, Resample::lanczos}) {
    for (const auto& [in, out] : {std::pair<i64, i64>{5, 97}, {97, 5}, {1000, 336}, {1, 8}}) {
      const ResampleTaps taps = resample_taps(in, out, filter);
      for (i64 i = 0; i < out; ++i) {
        const int count = taps.count[static_cast<std::size_t>(i)];
        CHECK(taps.first[static_cast<std::size_t>(i)] + count <= in);
        i64 sum = 0;
        for (int t = 0; t < count; ++t) sum += taps.weights[static_cast<std::size_t>(i * taps.stride + t)];
        CHECK(std::abs(sum - (i64{1} << kWeightBits)) <= (count + 1) / 2);  // half a unit each
      }
    }
  }
}
