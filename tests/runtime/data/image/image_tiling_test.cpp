#include "runtime/data/image/image_tiling.h"

#include <doctest/doctest.h>
#include <xxhash.h>

#include "runtime/base/json.h"
#include "runtime/base/philox.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

using Row = std::array<i64, 9>;

// As scripts/make_image_layout_fixture.py draws sizes.
ImageSize drawn_size(const Philox& random, i64 k) {
  const u64 bits = random.bits(static_cast<u64>(k));
  constexpr u64 ranges[] = {100, 1000, 4096, 20000};
  const u64 range = ranges[bits >> 60 & 3], low = (u64{1} << 30) - 1;
  return {static_cast<i64>(1 + (bits & low) % range), static_cast<i64>(1 + (bits >> 30 & low) % range)};
}

// What one feature stands for, in patches, and a patch that divides the tile.
i64 tokens_of(const ImageRecipe& recipe, const ImageLayout& layout) {
  using Processor = ImageRecipe::Processor;
  const i64 each = layout.rows * layout.columns;
  switch (recipe.processor) {
    case Processor::got_ocr2:
      return layout.tiles * (each / 4);
    case Processor::qwen2_vl:
    case Processor::qwen2_vl_video:
      return layout.patches() / 4;
    case Processor::idefics3:
    case Processor::smolvlm:
      return layout.tiles;
    default:
      return each;
  }
}

Row row_of(const ImageRecipe& recipe, ImageSize size, i64 frames) {
  try {
    const ImageTiling plan = image_tiling(recipe, size, frames);
    const ImageLayout layout = image_layout(recipe, size, frames);
    CHECK(processed_size(recipe, size).height > 0);
    return {layout.tiles,
            plan.tile.height,
            plan.tile.width,
            tokens_of(recipe, layout),
            plan.grid.rows,
            plan.grid.columns,
            plan.grid.thumbnail ? 1 : 0,
            plan.canvas.height,
            plan.canvas.width};
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_data);
    return {};
  }
}

ImageRecipe recipe_of(const Json& config) {
  return config.contains("video_processor_type") ? video_recipe_from_json(config, "config")
                                                 : image_recipe_from_json(config, "config");
}

ImageRecipe qwen(i64 min, i64 max) {
  return image_recipe_from_json(
      {{"image_processor_type", "Qwen2VLImageProcessor"}, {"min_pixels", min}, {"max_pixels", max}}, "qwen");
}

}  // namespace

TEST_CASE("100,000 sizes become what transformers makes of them, with every processor") {
  const Philox random(7, "image sizes");
  const Json cases = read_json_file("tests/goldens/image_processor/layouts.json");
  CHECK(cases.size() == 14);
  for (const Json& c : cases) {
    CAPTURE(c["config"].dump());
    const ImageRecipe recipe = recipe_of(c["config"]);
    i64 refused = 0, k = 0;
    for (std::size_t block = 0; block < c["digests"].size(); ++block) {
      std::vector<Row> rows(1000);
      for (Row& row : rows) {
        row = row_of(recipe, drawn_size(random, k), recipe.is_video() ? 1 + k % 9 : 1);
        refused += row[0] == 0;
        if (static_cast<std::size_t>(k) < c["first"].size()) {
          CHECK(Json(row) == c["first"][static_cast<std::size_t>(k)]);
        }
        ++k;
      }
      CHECK(fmt::format("{:016x}", XXH64(rows.data(), rows.size() * sizeof(Row), 0)) ==
            c["digests"][block].get<std::string>());
    }
    CHECK(k == 100'000);
    CHECK(refused == c["refused"].get<i64>());
  }
}

TEST_CASE("edges half way between two multiples of 28 go to the even one") {
  const ImageRecipe recipe = qwen(1, 100'000'000);
  CHECK(processed_size(recipe, {70, 126}) == ImageSize{56, 112});  // 2.5, 4.5
  CHECK(processed_size(recipe, {42, 98}) == ImageSize{56, 112});   // 1.5, 3.5
  CHECK(processed_size(recipe, {71, 127}) == ImageSize{84, 140});
}

TEST_CASE("an edge that rounds to nothing counts as too few pixels, and the image grows") {
  CHECK(processed_size(qwen(3136, 1003520), {14, 1000}) == ImageSize{28, 476});
  CHECK(processed_size(qwen(3136, 1003520), {1, 1}) == ImageSize{56, 56});
}

TEST_CASE("sides of 200 to 1 are the limit of Qwen2-VL") {
  const ImageRecipe recipe = qwen(3136, 1003520);
  CHECK_NOTHROW(image_layout(recipe, {2, 400}));
  const Failure wide = failure_of([&] { image_layout(recipe, {2, 401}); });
  CHECK(wide.code == ExitCode::bad_data);
  CHECK(contains(wide.message,
                 "an image of 401 x 2 pixels: the longer side is more than 200 times the shorter"));
  CHECK(failure_of([&] { image_layout(recipe, {401, 2}); }).code == ExitCode::bad_data);
}

TEST_CASE("what would become too large or empty is refused before any pixel is touched") {
  const ImageRecipe clip = image_recipe_from_json(
      {{"image_processor_type", "CLIPImageProcessor"}, {"size", 336}, {"crop_size", 336}}, "clip");
  const Failure large = failure_of([&] { image_tiling(clip, {1, 65500}); });
  CHECK(large ==
        Failure{ExitCode::bad_data,
                "an image of 65500 x 1 pixels would become one of 22008000 x 336, which is more than the "
                "limit of 178956970 pixels; crop it or leave it out"});
  ImageRecipe padded = clip;
  padded.pad_to_square = true;
  CHECK(contains(failure_of([&] { image_tiling(padded, {1, 65500}); }).message, "65500 x 65500"));
  // 98 * (1 / 98) is a little less than 1 in floating point.
  const ImageRecipe smol = image_recipe_from_json({{"image_processor_type", "SmolVLMImageProcessor"},
                                                   {"size", {{"longest_edge", 98}}},
                                                   {"max_image_size", {{"longest_edge", 98}}}},
                                                  "smol");
  CHECK(contains(failure_of([&] {
                   image_tiling(smol, {98, 1});
                 }).message,
                 "would become one of 0 x 98, which is empty"));
}

TEST_CASE("equally close grids: the later one only if the image has more than half of its pixels") {
  const ImageRecipe recipe = image_recipe_from_json({{"image_processor_type", "GotOcr2ImageProcessor"},
                                                     {"size", {{"height", 100}, {"width", 100}}},
                                                     {"max_patches", 12}},
                                                    "got");
  CHECK(tile_grid(recipe, {100, 100}) == TileGrid{});  // 1 x 1
  CHECK(tile_grid(recipe, {150, 150}) ==
        TileGrid{.rows = 2, .columns = 2, .thumbnail = true});  // 22500 > 20000
  CHECK(tile_grid(recipe, {141, 141}) == TileGrid{});           // 19881 < 20000
  CHECK(tile_grid(recipe, {100, 200}) == TileGrid{.rows = 1, .columns = 2, .thumbnail = true});
  ImageRecipe flat = recipe;
  flat.size = {50, 100};
  CHECK(tile_grid(flat, {100, 100}) == TileGrid{});  // 10000 = half of 2 x 2 tiles: not more
  CHECK(tile_grid(flat, {101, 101}) == TileGrid{.rows = 2, .columns = 2, .thumbnail = true});
}

TEST_CASE("frames that share a budget of tokens keep a little more than the least pixels") {
  const ImageRecipe recipe = video_recipe_from_json({{"video_processor_type", "Qwen2VLVideoProcessor"},
                                                     {"cap_pixels_per_frame", true},
                                                     {"max_video_tokens", 10}},
                                                    "video");
  // smart_resize of transformers with at most int(100352 * 1.05) = 105369 pixels; with 100352 it gives 280 x
  // 308.
  CHECK(image_tiling(recipe, {1000, 1102}, 4).canvas == ImageSize{308, 336});
}

TEST_CASE("no edge of Idefics3's first resize is longer than 4096, of squares neither") {
  const ImageRecipe recipe = image_recipe_from_json({{"image_processor_type", "Idefics3ImageProcessor"},
                                                     {"size", {{"longest_edge", 5000}}},
                                                     {"max_image_size", {{"longest_edge", 512}}}},
                                                    "idefics3");
  CHECK(image_tiling(recipe, {100, 100}).first == ImageSize{4096, 4096});
  CHECK(image_tiling(recipe, {100, 200}).first == ImageSize{2048, 4096});
  CHECK(image_tiling(recipe, {200, 100}).first == ImageSize{4096, 2048});
}

TEST_CASE("a limit of tiles shortens the longest edge of SmolVLM tile by tile") {
  ImageRecipe recipe = image_recipe_from_json({{"image_processor_type", "SmolVLMImageProcessor"},
                                               {"size", {{"longest_edge", 2048}}},
                                               {"max_image_size", {{"longest_edge", 512}}}},
                                              "smol");
  const auto grid = [&](i64 max, ImageSize size) {
    recipe.tiling.max = max;
    return tile_grid(recipe, size);
  };
  CHECK(grid(0, {600, 800}) == TileGrid{.rows = 3, .columns = 4, .thumbnail = true});
  CHECK(grid(12, {600, 800}) == TileGrid{.rows = 3, .columns = 4, .thumbnail = true});
  CHECK(grid(11, {600, 800}) == TileGrid{.rows = 3, .columns = 3, .thumbnail = true});
  CHECK(grid(8, {600, 800}) == TileGrid{.rows = 2, .columns = 2, .thumbnail = true});
  CHECK(grid(3, {600, 800}) == TileGrid{});
  CHECK(grid(4, {100, 800}) == TileGrid{.rows = 1, .columns = 4, .thumbnail = true});
  CHECK(grid(1, {100, 800}) == TileGrid{});
}

TEST_CASE("patch grids follow from sizes alone") {
  ImageRecipe recipe = image_recipe_from_json(
      {{"image_processor_type", "CLIPImageProcessor"}, {"size", {{"shortest_edge", 56}}}, {"crop_size", 56}},
      "clip");
  CHECK(image_layout(recipe, {480, 640}) == ImageLayout{.tiles = 1, .rows = 4, .columns = 4});
  recipe.center_crop = false;
  CHECK(image_layout(recipe, {480, 640}) ==
        ImageLayout{.tiles = 1, .rows = 4, .columns = 5});  // 56 x int(74.67)
  CHECK(image_layout(recipe, {640, 480}).patches() == 20);
  recipe.pad_to_square = true;
  CHECK(image_layout(recipe, {480, 640}) == ImageLayout{.tiles = 1, .rows = 4, .columns = 4});
  const ImageRecipe siglip = image_recipe_from_json(
      {{"image_processor_type", "SiglipImageProcessor"}, {"size", {384, 384}}}, "siglip");
  CHECK(image_layout(siglip, {10, 1000}) == ImageLayout{.tiles = 1, .rows = 27, .columns = 27});
}
