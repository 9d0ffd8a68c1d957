// The size that a record asks for one picture (min_pixels, max_pixels, resized_height, resized_width of a
// part).
#pragma once

#include "runtime/data/image/asked_size.h"
#include "runtime/data/image/image_recipe.h"

namespace longsight::data {

// `recipe` for one image or video that asks for `asked`, as fetch_image of qwen-vl-utils takes these keys:
// resized_height and resized_width take the place of the image's own size and are rounded to whole merge
// blocks, at least 4 and at most 16,384 tokens; otherwise min_pixels and max_pixels take the place of the
// recipe's limits, the one that is not given following where they would cross. `whole` is the recipe of the
// model, of which `recipe` is the same or, for a sample that would be too long, one with fewer pixels: then
// that limit holds too. bad_data, naming the key, where the recipe has no such limits (all but Qwen2-VL's).
ImageRecipe with_asked_size(const ImageRecipe& recipe, const ImageRecipe& whole, const AskedSize& asked);

}  // namespace longsight::data
