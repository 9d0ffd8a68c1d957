// Qwen2VLImageProcessor and Qwen2VLVideoProcessor (Qwen2-VL, Qwen2.5-VL): an image keeps about its size and
// its aspect ratio.
#include <algorithm>
#include <cmath>

#include "runtime/data/image/image_kinds.h"

namespace longsight::data {
namespace {

using nlohmann::json;

constexpr i64 kMostAspect = 200;

double real(i64 x) {
  return static_cast<double>(x);
}

// smart_resize of transformers: both edges multiples of `factor`, pixels from min to max. Python's round
// takes halves to the even neighbour, as nearbyint does. An edge that rounds to 0 makes the image one of too
// few pixels, which the last case mends.
ImageSize smart_size(ImageSize image, i64 factor, i64 min, i64 max) {
  const double height = real(image.height), width = real(image.width), step = real(factor);
  const auto nearest = [&](double edge) { return static_cast<i64>(std::nearbyint(edge / step)) * factor; };
  const ImageSize rounded{nearest(height), nearest(width)};
  if (rounded.height * rounded.width > max) {
    const double beta = std::sqrt(real(image.height * image.width) / real(max));
    const auto smaller = [&](double edge) {
      return std::max(factor, static_cast<i64>(std::floor(edge / beta / step)) * factor);
    };
    return {smaller(height), smaller(width)};
  }
  if (rounded.height * rounded.width < min) {
    const double beta = std::sqrt(real(min) / real(image.height * image.width));
    const auto larger = [&](double edge) { return static_cast<i64>(std::ceil(edge * beta / step)) * factor; };
    return {larger(height), larger(width)};
  }
  return rounded;
}

// Of one frame: an even share of nine tenths of the tokens that a video may have.
i64 most_pixels_of_frame(const ImageRecipe::PixelRange& range, i64 factor, i64 frames) {
  if (range.video_tokens == 0) return range.max;
  const i64 all = static_cast<i64>(real(range.video_tokens * factor * factor) * 0.9);
  return std::max(std::min(range.max, all * range.frames_per_patch / frames),
                  static_cast<i64>(real(range.min) * 1.05));
}

// "size": {"shortest_edge", "longest_edge"} or {"min_pixels", "max_pixels"}, in pixels of area; the keys
// min_pixels and max_pixels win over it.
void read_pixel_range(const RecipeReader& reader, ImageRecipe::PixelRange& range) {
  if (const json* size = reader.find("size"); size != nullptr) {
    if (!size->is_object())
      reader.refuse("size", "{}; \"shortest_edge\" and \"longest_edge\" are known", size->dump());
    for (const auto& [key, value] : size->items()) {
      const bool is_min = key == "shortest_edge" || key == "min_pixels";
      if (!is_min && key != "longest_edge" && key != "max_pixels") {
        if (value.is_null()) continue;
        reader.refuse("size", "\"{}\" is not known; \"shortest_edge\" and \"longest_edge\" are", key);
      }
      if (value.is_null()) continue;
      if (!value.is_number_integer() || value < 1 || value > kMostPixels)
        reader.refuse("size", "{} is not a whole number from 1 to {}", value.dump(), kMostPixels);
      (is_min ? range.min : range.max) = value.get<i64>();
    }
  }
  range.min = reader.whole("min_pixels", range.min, 1, kMostPixels);
  range.max = reader.whole("max_pixels", range.max, 1, kMostPixels);
  if (range.min > range.max)
    reader.refuse("min_pixels", "{} is more than max_pixels, {}", range.min, range.max);
}

// How frames were taken from a video was decided before they became files.
constexpr const char* kSamplingKeys[] = {
    "do_sample_frames", "fps", "num_frames", "min_frames", "max_frames", "return_metadata", "video_metadata"};

}  // namespace

void set_qwen2_vl_defaults(ImageRecipe& recipe) {
  recipe.resize = ImageRecipe::Resize::exact;
  recipe.center_crop = false;
  if (recipe.is_video()) {
    recipe.pixels.min = 128 * 28 * 28;
    recipe.pixels.max = 768 * 28 * 28;
  }
}

void read_qwen2_vl_keys(const RecipeReader& reader, ImageRecipe& recipe) {
  if (!reader.boolean("do_resize", true))
    reader.refuse("do_resize", "rows of patches cannot be made without resizing");
  read_pixel_range(reader, recipe.pixels);
  recipe.patch = reader.whole("patch_size", recipe.patch, 1, 1024);
  recipe.pixels.merge = reader.whole("merge_size", recipe.pixels.merge, 1, 64);
  recipe.pixels.frames_per_patch = reader.whole("temporal_patch_size", recipe.pixels.frames_per_patch, 1, 64);
  if (!recipe.is_video()) return;
  for (const char* key : kSamplingKeys) reader.find(key);
  const i64 tokens = reader.whole("max_video_tokens", 128000, 1, i64{1} << 40);
  if (reader.boolean("cap_pixels_per_frame", false)) recipe.pixels.video_tokens = tokens;
}

void write_qwen2_vl_keys(const ImageRecipe& recipe, json& object) {
  object["do_resize"] = true;
  object["size"] = {{"shortest_edge", recipe.pixels.min}, {"longest_edge", recipe.pixels.max}};
  object["min_pixels"] = recipe.pixels.min;  // transformers 4 reads these
  object["max_pixels"] = recipe.pixels.max;
  object["patch_size"] = recipe.patch;
  object["merge_size"] = recipe.pixels.merge;
  object["temporal_patch_size"] = recipe.pixels.frames_per_patch;
  if (recipe.pixels.video_tokens != 0) {
    object["cap_pixels_per_frame"] = true;
    object["max_video_tokens"] = recipe.pixels.video_tokens;
  }
}

ImageTiling plan_qwen2_vl(const ImageRecipe& recipe, ImageSize image, i64 frames) {
  const i64 factor = recipe.patch * recipe.pixels.merge;
  const ImageSize from = recipe.pixels.wanted.value_or(image);
  const i64 longer = std::max(from.height, from.width), shorter = std::min(from.height, from.width);
  require(
      longer <= kMostAspect * shorter, ExitCode::bad_data,
      "an image of {} x {} pixels: the longer side is more than {} times the shorter one, which the model's "
      "image processor refuses; crop it or leave it out",
      from.width, from.height, kMostAspect);
  const ImageSize size =
      smart_size(from, factor, recipe.pixels.min, most_pixels_of_frame(recipe.pixels, factor, frames));
  return {.padded = image, .canvas = size, .tile = size};
}

}  // namespace longsight::data
