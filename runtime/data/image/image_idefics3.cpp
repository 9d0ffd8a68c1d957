// Idefics3ImageProcessor, and SmolVLM's, which is the same: the longest edge is brought to a set length, both
// edges up to multiples of a tile, and the whole image is appended, squashed into a tile.
#include <algorithm>

#include "runtime/data/image/image_kinds.h"

namespace longsight::data {
namespace {

using nlohmann::json;
using Resize = ImageRecipe::Resize;

constexpr i64 kLongestEdge = 4096;  // whatever `size` says

// The other edge by the aspect ratio width / height, truncated, in the order of operations of transformers.
i64 height_of(i64 width, double aspect) {
  return static_cast<i64>(static_cast<double>(width) / aspect);
}
i64 width_of(i64 height, double aspect) {
  return static_cast<i64>(static_cast<double>(height) * aspect);
}
double aspect_of(ImageSize size) {
  return static_cast<double>(size.width) / static_cast<double>(size.height);
}

i64 next_even(i64 x) {
  return x + x % 2;
}

i64 multiple(i64 edge, i64 side) {
  return ceil_div(edge, side) * side;
}

// The longer edge becomes `longest` (also if the image is smaller), the other one an even number; then, where
// that is longer than 4096, again without making it even.
ImageSize with_longest_edge(ImageSize image, i64 longest) {
  ImageSize size = image.width >= image.height
                       ? ImageSize{next_even(height_of(longest, aspect_of(image))), longest}
                       : ImageSize{longest, next_even(width_of(longest, aspect_of(image)))};
  size = {std::max<i64>(size.height, 1), std::max<i64>(size.width, 1)};
  const double aspect = aspect_of(size);
  if (size.width >= size.height && size.width > kLongestEdge) {
    size = {height_of(kLongestEdge, aspect), kLongestEdge};
  } else if (size.height > size.width && size.height > kLongestEdge) {
    size = {kLongestEdge, width_of(kLongestEdge, aspect)};
  }
  return {std::max<i64>(size.height, 1), std::max<i64>(size.width, 1)};
}

// The longer edge up to a multiple of a tile, the other one first by the aspect ratio, then up, too.
ImageSize in_tiles(ImageSize size, i64 side) {
  const double aspect = aspect_of(size);
  if (size.width >= size.height) {
    const i64 width = multiple(size.width, side);
    return {multiple(height_of(width, aspect), side), width};
  }
  const i64 height = multiple(size.height, side);
  return {height, multiple(width_of(height, aspect), side)};
}

ImageSize resized_size(const ImageRecipe& recipe, ImageSize image, i64 longest) {
  if (recipe.resize == Resize::none) return image;
  return recipe.resize == Resize::exact ? recipe.size : with_longest_edge(image, longest);
}

}  // namespace

void set_idefics3_defaults(ImageRecipe& recipe) {
  recipe.resize = Resize::longest_edge;
  recipe.size = {4 * 364, 4 * 364};
  recipe.resample = Resample::lanczos;
  recipe.center_crop = false;
  recipe.mean = recipe.std = {0.5, 0.5, 0.5};
  recipe.tiling.max = 0;
}

void read_idefics3_keys(const RecipeReader& reader, ImageRecipe& recipe) {
  if (const auto size = reader.size("size")) {
    const json* given = reader.find("size");
    if (!given->is_object() || size->form == Resize::shortest_edge)
      reader.refuse("size", "{}; the longest edge, or height and width are known", given->dump());
    recipe.resize = size->form;
    recipe.size = size->size;
  }
  if (!reader.boolean("do_resize", true)) recipe.resize = Resize::none;
  if (const auto tile = reader.size("max_image_size")) {
    if (tile->form != Resize::longest_edge)
      reader.refuse("max_image_size", "{}; it must have \"longest_edge\"",
                    reader.find("max_image_size")->dump());
    recipe.tiling.side = tile->size.height;
  }
  recipe.tiling.split = reader.boolean("do_image_splitting", true);
  // Tiles of one size need no padding; how frames are taken from a video does not concern images.
  for (const char* key : {"do_pad", "return_row_col_info", "video_sampling"}) reader.find(key);
}

void write_idefics3_keys(const ImageRecipe& recipe, json& object) {
  object["do_resize"] = recipe.resize != Resize::none;
  if (recipe.resize == Resize::exact) {
    object["size"] = {{"height", recipe.size.height}, {"width", recipe.size.width}};
  } else {
    object["size"] = {{"longest_edge", recipe.size.height}};
  }
  object["max_image_size"] = {{"longest_edge", recipe.tiling.side}};
  object["do_image_splitting"] = recipe.tiling.split;
  object["do_pad"] = true;
}

ImageTiling plan_idefics3(const ImageRecipe& recipe, ImageSize image) {
  const i64 side = recipe.tiling.side;
  ImageTiling plan{.padded = image, .canvas = {}, .tile = {side, side}, .thumbnail_of_canvas = true};
  // A limit of tiles shortens the longest edge tile by tile.
  for (i64 longest = recipe.size.height;; longest = multiple(longest, side) - side) {
    plan.first = resized_size(recipe, image, longest);
    plan.canvas = recipe.tiling.split ? in_tiles(*plan.first, side) : plan.tile;
    plan.grid = {.rows = plan.canvas.height / side, .columns = plan.canvas.width / side};
    const i64 tiles = plan.grid.rows * plan.grid.columns;
    plan.grid.thumbnail = tiles > 1;
    const bool limited = recipe.tiling.max > 0 && recipe.resize == Resize::longest_edge;
    if (!limited || tiles <= recipe.tiling.max || longest <= side) return plan;
  }
}

}  // namespace longsight::data
