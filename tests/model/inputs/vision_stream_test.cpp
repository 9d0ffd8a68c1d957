#include "model/inputs/vision_stream.h"

#include <numeric>

#include <doctest/doctest.h>

#include "tests/support/families.h"

namespace longsight::model {

TEST_CASE(
    "positions of Idefics3 are the identity but for the lengths where PyTorch's rounding makes them "
    "another") {
  // From torch 2.13: bucketize(arange(n) / n, arange(1 / n, 1, 1 / n)).
  const std::vector<i64> expected{19, 25, 29, 31, 38, 40, 41, 43, 47, 49, 50, 54, 55, 58, 59};
  std::vector<i64> others;
  for (i64 n = 2; n < 60; ++n) {
    std::vector<i64> identity(static_cast<std::size_t>(n));
    std::iota(identity.begin(), identity.end(), 0);
    if (spread_positions(n, n) != identity) others.push_back(n);
  }
  CHECK(others == expected);
  CHECK(spread_positions(19, 19) ==
        std::vector<i64>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 13, 14, 15, 16, 17, 18});
}

TEST_CASE("blocks lie window by window, the last ones cut at the right and lower edge") {
  const ModelConfig config = read_model_config(test::tiny_family("qwen2_5_vl"), "tiny");
  REQUIRE(config.vision.window == 2);                                                  // merge blocks
  const TileOrder order = tile_order(config, {.tiles = 1, .rows = 6, .columns = 10});  // 3 x 5 blocks
  CHECK(order.blocks == std::vector<i64>{0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14});
  CHECK(order.windows == std::vector<i64>{16, 16, 8, 8, 8, 4});
  const TileOrder whole = tile_order(read_model_config(test::tiny_family("qwen2_vl"), "tiny"),
                                     {.tiles = 1, .rows = 4, .columns = 6});
  CHECK(whole.blocks == std::vector<i64>{0, 1, 2, 3, 4, 5});
  CHECK(whole.windows.empty());
}

TEST_CASE(
    "M-RoPE counts images and videos by time, row and column, and text goes on behind the longer edge") {
  const ModelConfig config = read_model_config(test::tiny_family("qwen2_5_vl"), "tiny");
  const data::ImageLayout image{.tiles = 1, .rows = 2, .columns = 6};
  const data::ImageLayout video{.tiles = 2, .rows = 2, .columns = 2, .video = true, .seconds_per_tile = 1.5};
  const i64 i = config.image_token, v = config.video_token;
  const std::vector<i64> ids{5, i, i, i, 6, v, v, 7};
  const auto positions = positions_of(ids, std::vector{image, video}, config);
  // 4 positions a second, 1.5 seconds from one temporal patch to the next.
  const std::vector<Position> expected{{0, 0, 0}, {1, 1, 1}, {1, 1, 2},  {1, 1, 3},
                                       {4, 4, 4}, {5, 5, 5}, {11, 5, 5}, {6, 6, 6}};
  CHECK(positions == expected);
  CHECK(next_position(positions, config) == 12);
}

}  // namespace longsight::model
