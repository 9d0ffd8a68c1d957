#include "runtime/data/image_options.h"

#include <algorithm>

namespace longsight::data {
namespace {

using Processor = ImageRecipe::Processor;

constexpr i64 kMostPixels = 178956970;
constexpr i64 kMostTiles = 1024;

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

std::optional<ImageRecipe> shrink_images(const ImageRecipe& recipe, std::span<const MediaSize> images,
                                         i64 budget, const TokensOfImage& tokens) {
  const auto fits = [&](const ImageRecipe& candidate) {
    i64 sum = 0;
    for (const MediaSize& image : images) {
      sum += tokens(image_layout(candidate, image.size, image.frames), tile_grid(candidate, image.size));
    }
    return sum <= budget;
  };
  if (fits(recipe)) return recipe;
  ImageRecipe smaller = recipe;
  if (has_tiles(recipe)) {
    i64 most = recipe.tiling.max;
    if (most == 0) {  // no limit: as many as the largest grid of these images has
      for (const MediaSize& image : images) {
        const TileGrid grid = tile_grid(recipe, image.size);
        most = std::max(most, grid.rows * grid.columns);
      }
    }
    for (smaller.tiling.max = most - 1; smaller.tiling.max >= fewest_tiles(recipe); --smaller.tiling.max) {
      if (fits(smaller)) return smaller;
    }
    return std::nullopt;
  }
  if (!recipe.makes_patch_rows()) return std::nullopt;
  // Tokens never fall when the limit grows; it counts in merge blocks, each of which is one token.
  const i64 block = recipe.patch * recipe.patch * recipe.pixels.merge * recipe.pixels.merge;
  i64 low = ceil_div(recipe.pixels.min, block), high = recipe.pixels.max / block + 1;  // does not fit
  const auto with = [&](i64 blocks) {
    smaller.pixels.max = blocks * block;
    return smaller;
  };
  if (low >= high || !fits(with(low))) return std::nullopt;
  while (high - low > 1) {
    const i64 middle = low + (high - low) / 2;
    (fits(with(middle)) ? low : high) = middle;
  }
  return with(low);
}

}  // namespace longsight::data
