#include "runtime/data/image/asked_recipe.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace longsight::data {

ImageRecipe with_asked_size(const ImageRecipe& recipe, const ImageRecipe& whole, const AskedSize& asked) {
  if (asked == AskedSize{}) return recipe;
  require(recipe.makes_patch_rows(), ExitCode::bad_data,
          "\"{}\" of a picture: {} has no such limit, only Qwen2-VL's models have; remove it",
          asked.resized_height ? "resized_height"
          : asked.min_pixels   ? "min_pixels"
                               : "max_pixels",
          name_of(recipe.processor));
  ImageRecipe made = recipe;
  auto& pixels = made.pixels;
  if (asked.resized_height) {
    const i64 token = recipe.patch * recipe.patch * pixels.merge * pixels.merge;
    pixels.wanted = ImageSize{*asked.resized_height, *asked.resized_width};
    pixels.min = 4 * token;
    pixels.max = 16384 * token;
  } else {
    pixels.min = asked.min_pixels.value_or(whole.pixels.min);
    pixels.max = asked.max_pixels.value_or(whole.pixels.max);
    if (!asked.max_pixels) pixels.max = std::max(pixels.max, pixels.min);
  }
  if (recipe.pixels.max < whole.pixels.max) pixels.max = std::min(pixels.max, recipe.pixels.max);
  pixels.min = std::min(pixels.min, pixels.max);
  return made;
}

}  // namespace longsight::data
