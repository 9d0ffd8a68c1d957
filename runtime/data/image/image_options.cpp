#include "runtime/data/image/image_options.h"

#include <algorithm>

#include "runtime/data/image/asked_recipe.h"

namespace longsight::data {
namespace {

using Processor = ImageRecipe::Processor;

bool has_tiles(const ImageRecipe& recipe) {
  return recipe.processor == Processor::got_ocr2 || recipe.processor == Processor::idefics3 ||
         recipe.processor == Processor::smolvlm;
}

bool can_pad(const ImageRecipe& recipe) {
  return recipe.processor == Processor::clip || recipe.processor == Processor::llava ||
         recipe.processor == Processor::siglip;
}

void require_known(bool has_it, const char* key, const ImageRecipe& recipe, const char* who) {
  require(has_it, ExitCode::usage,
          "data.images.{}: the images of this model go through {}, which has no such option ({}); remove it",
          key, name_of(recipe.processor), who);
}

i64 in_range(const char* key, i64 value, i64 least, i64 most) {
  require(value >= least && value <= most, ExitCode::usage, "data.images.{}: {} is not from {} to {}", key,
          value, least, most);
  return value;
}

// Whether the second word was given.
bool is_second(const char* key, const std::string& given, std::string_view first, std::string_view second) {
  require(given == first || given == second, ExitCode::usage, "data.images.{}: \"{}\" is not {} or {}", key,
          given, first, second);
  return given == second;
}

void apply_pixels(const ImageOptions& options, ImageRecipe& recipe) {
  const char* who = "min_pixels and max_pixels are of Qwen2-VL and Qwen2.5-VL";
  if (options.min_pixels) {
    require_known(recipe.makes_patch_rows(), "min_pixels", recipe, who);
    recipe.pixels.min = in_range("min_pixels", *options.min_pixels, 1, kMostPixels);
  }
  if (options.max_pixels) {
    require_known(recipe.makes_patch_rows(), "max_pixels", recipe, who);
    recipe.pixels.max = in_range("max_pixels", *options.max_pixels, 1, kMostPixels);
  }
  if (!options.min_pixels && !options.max_pixels) return;
  require(recipe.pixels.min <= recipe.pixels.max, ExitCode::usage,
          "data.images.{}: min_pixels {} is more than max_pixels {}; give both",
          options.max_pixels ? "max_pixels" : "min_pixels", recipe.pixels.min, recipe.pixels.max);
}

// The fewest tiles that max_tiles may say.
i64 fewest_tiles(const ImageRecipe& recipe) {
  return recipe.processor == Processor::got_ocr2 ? recipe.tiling.min : 1;
}

}  // namespace

void apply(const ImageOptions& options, ImageRecipe& recipe, DecodeOptions& decode) {
  apply_pixels(options, recipe);
  if (options.max_tiles) {
    require_known(has_tiles(recipe), "max_tiles", recipe, "it is of InternVL, Idefics3 and SmolVLM");
    recipe.tiling.max = in_range("max_tiles", *options.max_tiles, fewest_tiles(recipe), kMostTiles);
  }
  if (options.image_aspect_ratio) {
    require_known(can_pad(recipe), "image_aspect_ratio", recipe, "it is of CLIP, LLaVA and SigLIP");
    recipe.pad_to_square = is_second("image_aspect_ratio", *options.image_aspect_ratio, "crop", "pad");
    const bool colour =
        std::all_of(recipe.mean.begin(), recipe.mean.end(), [](double m) { return m >= 0 && m <= 1; });
    require(
        !recipe.pad_to_square || colour, ExitCode::usage,
        "data.images.image_aspect_ratio: the image_mean {}, {}, {} of this model is no colour to pad with",
        recipe.mean[0], recipe.mean[1], recipe.mean[2]);
  }
  if (options.alpha) {
    decode.alpha = is_second("alpha", *options.alpha, "drop", "white") ? Alpha::white : Alpha::drop;
  }
  if (options.exif) decode.exif_orientation = *options.exif;
  if (options.pillow) {
    in_range("pillow", *options.pillow, 12, 13);
    recipe.pass_order = *options.pillow == 12 ? PassOrder::pillow_12 : PassOrder::pillow_13;
  }
}

namespace {

using Fits = std::function<bool(const MediaRecipes&)>;

std::optional<MediaRecipes> with_fewer_tiles(const MediaRecipes& recipes, std::span<const MediaSize> media,
                                             const Fits& fits) {
  i64 most = recipes.image.tiling.max;
  if (most == 0) {  // no limit: as many as the largest grid of these images has
    for (const MediaSize& m : media) {
      const TileGrid grid = tile_grid(recipes.image, m.size);
      most = std::max(most, grid.rows * grid.columns);
    }
  }
  MediaRecipes fewer = recipes;
  i64& limit = fewer.image.tiling.max;
  for (limit = most - 1; limit >= fewest_tiles(recipes.image); --limit) {
    if (fits(fewer)) return fewer;
  }
  return std::nullopt;
}

// Tokens never fall when the limit grows; it counts in merge blocks, each of which is one token.
std::optional<MediaRecipes> with_fewer_pixels(const MediaRecipes& recipes, const Fits& fits) {
  const ImageRecipe& image = recipes.image;
  const ImageRecipe& video = recipes.video ? *recipes.video : image;
  const i64 block = image.patch * image.patch * image.pixels.merge * image.pixels.merge;
  const auto limited = [block](ImageRecipe recipe, i64 blocks) {
    const i64 least = ceil_div(recipe.pixels.min, block);
    recipe.pixels.max = std::min(recipe.pixels.max, std::max(least, blocks) * block);
    return recipe;
  };
  const auto with = [&](i64 blocks) {
    MediaRecipes smaller{.image = limited(image, blocks)};
    if (recipes.video) smaller.video = limited(video, blocks);
    return smaller;
  };
  i64 low = ceil_div(std::min(image.pixels.min, video.pixels.min), block);
  i64 high = std::max(image.pixels.max, video.pixels.max) / block + 1;  // does not fit
  if (low >= high || !fits(with(low))) return std::nullopt;
  while (high - low > 1) {
    const i64 middle = low + (high - low) / 2;
    (fits(with(middle)) ? low : high) = middle;
  }
  return with(low);
}

}  // namespace

std::optional<MediaRecipes> shrink_media(const MediaRecipes& recipes, std::span<const MediaSize> media,
                                         i64 budget, const TokensOfImage& tokens) {
  const Fits fits = [&](const MediaRecipes& candidate) {
    i64 sum = 0;
    for (const MediaSize& m : media) {
      const ImageRecipe recipe = with_asked_size(candidate.of(m.video), recipes.of(m.video), m.asked);
      sum += tokens(image_layout(recipe, m.size, m.frames), tile_grid(recipe, m.size));
    }
    return sum <= budget;
  };
  if (fits(recipes)) return recipes;
  if (has_tiles(recipes.image)) return with_fewer_tiles(recipes, media, fits);
  if (recipes.image.makes_patch_rows()) return with_fewer_pixels(recipes, fits);
  return std::nullopt;
}

}  // namespace longsight::data
