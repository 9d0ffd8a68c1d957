#include "runtime/data/image/image_tiling.h"

#include "runtime/data/image/image_kinds.h"

namespace longsight::data {
namespace {

using Processor = ImageRecipe::Processor;

ImageTiling plan_of_kind(const ImageRecipe& recipe, ImageSize image, i64 frames) {
  switch (recipe.processor) {
    case Processor::clip:
    case Processor::llava:
    case Processor::siglip:
      return plan_clip(recipe, image);
    case Processor::got_ocr2:
      return plan_got_ocr2(recipe, image);
    case Processor::qwen2_vl:
    case Processor::qwen2_vl_video:
      return plan_qwen2_vl(recipe, image, frames);
    case Processor::idefics3:
    case Processor::smolvlm:
      return plan_idefics3(recipe, image);
  }
  check(false, "no processor number {}", static_cast<int>(recipe.processor));
  return {};
}

void require_possible(ImageSize size, ImageSize image) {
  const bool empty = size.height < 1 || size.width < 1;
  require(!empty && size.height <= kMostPixels && size.width <= kMostPixels &&
              size.height * size.width <= kMostPixels,
          ExitCode::bad_data,
          "an image of {} x {} pixels would become one of {} x {}, which {}; crop it or leave it out",
          image.width, image.height, size.width, size.height,
          empty ? "is empty" : fmt::format("is more than the limit of {} pixels", kMostPixels));
}

}  // namespace

ImageTiling image_tiling(const ImageRecipe& recipe, ImageSize image, i64 frames) {
  check(image.height > 0 && image.width > 0, "an image of {} x {}", image.height, image.width);
  check(frames >= 1 && (frames == 1 || recipe.is_video()), "{} frames for a {}", frames,
        name_of(recipe.processor));
  const ImageTiling plan = plan_of_kind(recipe, image, frames);
  if (recipe.pad_to_square) require_possible(plan.padded, image);
  if (plan.first) require_possible(*plan.first, image);
  require_possible(plan.canvas, image);
  return plan;
}

ImageLayout image_layout(const ImageRecipe& recipe, ImageSize image, i64 frames) {
  check(recipe.patch > 0, "patches of {} pixels", recipe.patch);
  const ImageTiling plan = image_tiling(recipe, image, frames);
  // A rest at the right and lower edge is not seen (SigLIP 384 / 14), as the tower's convolution does not.
  return {.tiles = recipe.is_video() ? ceil_div(frames, recipe.pixels.frames_per_patch) : plan.tiles(),
          .rows = plan.tile.height / recipe.patch,
          .columns = plan.tile.width / recipe.patch};
}

TileGrid tile_grid(const ImageRecipe& recipe, ImageSize image) {
  return image_tiling(recipe, image).grid;
}

ImageSize processed_size(const ImageRecipe& recipe, ImageSize image) {
  return image_tiling(recipe, image).tile;
}

}  // namespace longsight::data
