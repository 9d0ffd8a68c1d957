#include "runtime/data/image/image_options.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

ImageRecipe recipe_of(const char* type) {
  return image_recipe_from_json({{"image_processor_type", type}}, "x");
}

struct Applied {
  ImageRecipe recipe;
  DecodeOptions decode;
};

Applied applied(const char* type, const ImageOptions& options) {
  Applied result{recipe_of(type), {}};
  apply(options, result.recipe, result.decode);
  return result;
}

Failure refusal(const char* type, const ImageOptions& options) {
  return failure_of([&] { applied(type, options); });
}

// Merge blocks of Qwen2-VL; tiles of 10 tokens and one for the grid's lines otherwise.
i64 tokens_of_qwen(const ImageLayout& layout, const TileGrid&) {
  return layout.patches() / 4;
}
i64 tokens_of_tiles(const ImageLayout& layout, const TileGrid& grid) {
  return layout.tiles * 10 + grid.rows;
}

i64 tokens_together(const ImageRecipe& recipe, std::span<const MediaSize> images,
                    const TokensOfImage& tokens) {
  i64 sum = 0;
  for (const MediaSize& m : images)
    sum += tokens(image_layout(recipe, m.size, m.frames), tile_grid(recipe, m.size));
  return sum;
}

}  // namespace

TEST_CASE("options that are not given change nothing") {
  const Applied same = applied("CLIPImageProcessor", {});
  CHECK(same.recipe == recipe_of("CLIPImageProcessor"));
  CHECK(same.decode.alpha == Alpha::drop);
  CHECK(same.decode.exif_orientation);
}

TEST_CASE("each option changes what it says") {
  const Applied qwen = applied("Qwen2VLImageProcessor", {.min_pixels = 784, .max_pixels = 7840});
  CHECK(qwen.recipe.pixels.min == 784);
  CHECK(qwen.recipe.pixels.max == 7840);
  for (const char* type : {"GotOcr2ImageProcessor", "SmolVLMImageProcessor", "Idefics3ImageProcessor"}) {
    CHECK(applied(type, {.max_tiles = 5}).recipe.tiling.max == 5);
  }
  for (const char* type : {"CLIPImageProcessor", "LlavaImageProcessor", "SiglipImageProcessor"}) {
    CHECK(applied(type, {.image_aspect_ratio = "pad"}).recipe.pad_to_square);
    CHECK_FALSE(applied(type, {.image_aspect_ratio = "crop"}).recipe.pad_to_square);
  }
  const Applied decode = applied("CLIPImageProcessor", {.alpha = "white", .exif = false, .pillow = 12});
  CHECK(decode.decode.alpha == Alpha::white);
  CHECK_FALSE(decode.decode.exif_orientation);
  CHECK(decode.recipe.pass_order == PassOrder::pillow_12);
  CHECK(applied("CLIPImageProcessor", {.alpha = "drop", .pillow = 13}).recipe.pass_order ==
        PassOrder::pillow_13);
}

TEST_CASE("padding of SigLIP survives being written, as LLaVA's processor") {
  const ImageRecipe padded = applied("SiglipImageProcessor", {.image_aspect_ratio = "pad"}).recipe;
  ImageRecipe written = image_recipe_from_json(json_of(padded), "written");
  CHECK(written.processor == ImageRecipe::Processor::llava);
  written.processor = padded.processor;
  CHECK(written == padded);
}

TEST_CASE("options that the model's processor does not have, and values out of range, are refused by name") {
  const Failure tiles = refusal("CLIPImageProcessor", {.max_tiles = 4});
  CHECK(tiles.code == ExitCode::usage);
  CHECK(contains(tiles.message,
                 "data.images.max_tiles: the images of this model go through CLIPImageProcessor"));
  CHECK(contains(refusal("GotOcr2ImageProcessor", {.max_pixels = 784}).message, "data.images.max_pixels"));
  CHECK(contains(refusal("SmolVLMImageProcessor", {.min_pixels = 784}).message, "data.images.min_pixels"));
  CHECK(contains(refusal("Qwen2VLImageProcessor", {.image_aspect_ratio = "pad"}).message,
                 "data.images.image_aspect_ratio"));
  CHECK(contains(refusal("CLIPImageProcessor", {.image_aspect_ratio = "squash"}).message,
                 "\"squash\" is not crop or pad"));
  CHECK(
      contains(refusal("CLIPImageProcessor", {.alpha = "black"}).message, "\"black\" is not drop or white"));
  CHECK(contains(refusal("CLIPImageProcessor", {.pillow = 11}).message,
                 "data.images.pillow: 11 is not from 12 to 13"));
  CHECK(contains(refusal("GotOcr2ImageProcessor", {.max_tiles = 0}).message,
                 "data.images.max_tiles: 0 is not from 1"));
  CHECK(contains(refusal("Qwen2VLImageProcessor", {.max_pixels = 100}).message,
                 "min_pixels 3136 is more than max_pixels 100"));
  CHECK(
      contains(refusal("Qwen2VLImageProcessor", {.min_pixels = 2000000}).message, "data.images.min_pixels"));
}

TEST_CASE("images shrink to the most pixels that fit, and no further") {
  const ImageRecipe recipe = recipe_of("Qwen2VLImageProcessor");
  const std::vector<MediaSize> images{{{900, 1400}}, {{300, 200}}, {{2000, 2000}}};
  const i64 whole = tokens_together(recipe, images, tokens_of_qwen);
  CHECK(shrink_media({recipe}, images, whole, tokens_of_qwen) == MediaRecipes{recipe});
  for (i64 budget = 40; budget < whole; budget += 97) {
    CAPTURE(budget);
    const auto smaller = shrink_media({recipe}, images, budget, tokens_of_qwen);
    REQUIRE(smaller);
    CHECK(tokens_together(smaller->image, images, tokens_of_qwen) <= budget);
    ImageRecipe larger = smaller->image;  // one block more does not fit
    larger.pixels.max += 28 * 28;
    CHECK(tokens_together(larger, images, tokens_of_qwen) > budget);
    CHECK(smaller->image.pixels.min == recipe.pixels.min);
  }
  CHECK_FALSE(shrink_media({recipe}, images, 5, tokens_of_qwen));  // three images of at least four tokens
}

TEST_CASE("videos shrink with the images beside them, each to its own least") {
  const MediaRecipes recipes{
      recipe_of("Qwen2VLImageProcessor"),
      video_recipe_from_json({{"video_processor_type", "Qwen2VLVideoProcessor"}}, "video")};
  const MediaSize video{{720, 1280}, 9, true}, image{{720, 1280}};
  const auto tokens_with = [&](const MediaRecipes& r, const MediaSize& m) {
    return tokens_of_qwen(image_layout(r.of(m.video), m.size, m.frames), {});
  };
  const auto smaller = shrink_media(recipes, std::vector{video, image}, 1000, tokens_of_qwen);
  REQUIRE(smaller);
  CHECK(image_layout(*smaller->video, video.size, 9).tiles == 5);
  const i64 frame = tokens_with(*smaller, video) / 5, still = tokens_with(*smaller, image);
  CHECK(frame == still);
  CHECK(6 * frame <= 1000);
  CHECK(frame > 140);  // 1000 / 6 = 166, but for whole rows and columns of blocks
  // The frames are at the least of their recipe (128 tokens), the image goes on.
  const auto least = shrink_media(recipes, std::vector{video, image}, 690, tokens_of_qwen);
  REQUIRE(least);
  CHECK(least->video->pixels.max == least->video->pixels.min);
  CHECK(tokens_with(*least, image) < tokens_with(*least, video) / 5);
  CHECK_FALSE(shrink_media(recipes, std::vector{video}, 100, tokens_of_qwen));  // five times 128 at least
}

TEST_CASE("images shrink tile by tile, with a thumbnail as long as there is more than one") {
  const std::vector<MediaSize> images{{{1000, 1000}}, {{400, 1600}}};
  for (const char* type : {"GotOcr2ImageProcessor", "SmolVLMImageProcessor"}) {
    CAPTURE(type);
    const ImageRecipe recipe = recipe_of(type);
    const i64 whole = tokens_together(recipe, images, tokens_of_tiles);
    CHECK(whole > 150);
    for (i64 budget = 22; budget < whole; ++budget) {
      CAPTURE(budget);
      const auto smaller = shrink_media({recipe}, images, budget, tokens_of_tiles);
      REQUIRE(smaller);
      CHECK(tokens_together(smaller->image, images, tokens_of_tiles) <= budget);
      ImageRecipe larger = smaller->image;
      larger.tiling.max += 1;
      CHECK(tokens_together(larger, images, tokens_of_tiles) > budget);
    }
    CHECK_FALSE(shrink_media({recipe}, images, 21, tokens_of_tiles));
  }
  ImageRecipe at_least = recipe_of("GotOcr2ImageProcessor");
  at_least.tiling.min = 2;
  CHECK_FALSE(shrink_media({at_least}, images, 50, tokens_of_tiles));
}

TEST_CASE("images of a fixed number of tokens fit or do not") {
  const ImageRecipe clip = recipe_of("CLIPImageProcessor");
  const std::vector<MediaSize> images{{{100, 100}}};
  const auto each = [](const ImageLayout& layout, const TileGrid&) { return layout.patches(); };
  CHECK(shrink_media({clip}, images, 256, each) == MediaRecipes{clip});
  CHECK_FALSE(shrink_media({clip}, images, 255, each));
}
