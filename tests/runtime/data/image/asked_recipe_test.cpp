// Sizes that a record asks for, against fetch_image of qwen-vl-utils 0.0.14 (patches of 14, merged by 2).
#include "runtime/data/image/asked_recipe.h"

#include <doctest/doctest.h>

#include "runtime/data/image/image_options.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

ImageRecipe qwen() {
  ImageRecipe recipe;
  recipe.processor = ImageRecipe::Processor::qwen2_vl;
  recipe.resize = ImageRecipe::Resize::exact;
  recipe.pixels = {.min = 4 * 28 * 28, .max = 16384 * 28 * 28};
  return recipe;
}

ImageSize size_of(ImageSize image, const AskedSize& asked) {
  return processed_size(with_asked_size(qwen(), qwen(), asked), image);
}

}  // namespace

TEST_CASE("a picture has the size that its part asks for") {
  const ImageSize image{84, 112};
  CHECK(size_of(image, {}) == ImageSize{84, 112});
  CHECK(size_of(image, {.max_pixels = 1568}) == ImageSize{28, 28});
  CHECK(size_of(image, {.min_pixels = 50176}) == ImageSize{196, 280});
  CHECK(size_of(image, {.resized_height = 28, .resized_width = 28}) ==
        ImageSize{56, 56});  // four tokens at least
  CHECK(size_of(image, {.resized_height = 280, .resized_width = 420}) == ImageSize{280, 420});
  CHECK(size_of(image, {.resized_height = 100, .resized_width = 200}) == ImageSize{112, 196});
  // They win over the limits.
  CHECK(size_of(image, {.max_pixels = 3136, .resized_height = 280, .resized_width = 280}) ==
        ImageSize{280, 280});
  CHECK(size_of({1000, 2000}, {.min_pixels = 4 * 28 * 28, .max_pixels = 256 * 28 * 28}) ==
        ImageSize{308, 616});
  CHECK(failure_of([&] { size_of(image, {.resized_height = 28, .resized_width = 28 * 201}); }).code ==
        ExitCode::bad_data);
}

TEST_CASE("a model that makes all pictures of one size refuses to be asked") {
  ImageRecipe clip;
  for (const AskedSize& asked : {AskedSize{.max_pixels = 5000}, AskedSize{.min_pixels = 5000},
                                 AskedSize{.resized_height = 28, .resized_width = 28}}) {
    CHECK(failure_of([&] { with_asked_size(clip, clip, asked); }).code == ExitCode::bad_data);
  }
  CHECK(failure_of([&] { with_asked_size(clip, clip, {.max_pixels = 5000}); }).message ==
        "\"max_pixels\" of a picture: CLIPImageProcessor has no such limit, only Qwen2-VL's models have; "
        "remove it");
  CHECK(with_asked_size(clip, clip, {}) == clip);
}

TEST_CASE("a sample that is too long gets smaller pictures than its parts ask for") {
  const MediaRecipes recipes{.image = qwen()};
  const std::vector<MediaSize> media{
      {.size = {560, 560}, .asked = {.resized_height = 280, .resized_width = 280}}, {.size = {560, 560}}};
  const auto tokens = [](const ImageLayout& layout, const TileGrid&) { return layout.patches() / 4; };
  // 100 tokens and 400.
  CHECK(shrink_media(recipes, media, 500, tokens) == recipes);
  const auto smaller = shrink_media(recipes, media, 300, tokens);
  REQUIRE(smaller);
  const auto made = [&](const AskedSize& asked) {
    return processed_size(with_asked_size(smaller->image, recipes.image, asked), {560, 560});
  };
  CHECK(made(media[0].asked) == ImageSize{280, 280});
  CHECK(made({}) == ImageSize{392, 392});
  CHECK(made({.min_pixels = 560 * 560}) == ImageSize{392, 392});
}
