// GotOcr2ImageProcessor, as InternVL uses it: the image is squashed into the grid of tiles whose aspect ratio
// is closest to its own.
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "runtime/data/image/image_kinds.h"

namespace longsight::data {
namespace {

using nlohmann::json;
using Resize = ImageRecipe::Resize;

// All grids of min to max tiles by number of tiles, then by columns.
std::vector<TileGrid> possible_grids(i64 min, i64 max) {
  std::vector<TileGrid> grids;
  for (i64 tiles = min; tiles <= max; ++tiles) {
    for (i64 columns = 1; columns <= tiles; ++columns) {
      if (tiles % columns == 0) grids.push_back({.rows = tiles / columns, .columns = columns});
    }
  }
  return grids;
}

// Of grids with equally close aspect ratios the later one, if the image has more than half of its pixels.
TileGrid closest_grid(const ImageRecipe& recipe, ImageSize image) {
  const double aspect = static_cast<double>(image.width) / static_cast<double>(image.height);
  const double pixels = static_cast<double>(image.width * image.height);
  const double tile_pixels = static_cast<double>(recipe.size.height * recipe.size.width);
  double least = std::numeric_limits<double>::infinity();
  TileGrid best;
  for (const TileGrid& grid : possible_grids(recipe.tiling.min, recipe.tiling.max)) {
    const double distance =
        std::abs(aspect - static_cast<double>(grid.columns) / static_cast<double>(grid.rows));
    const bool covered = pixels > 0.5 * tile_pixels * static_cast<double>(grid.rows * grid.columns);
    if (distance < least || (distance == least && covered)) best = grid;
    least = std::min(least, distance);
  }
  return best;
}

}  // namespace

void set_got_ocr2_defaults(ImageRecipe& recipe) {
  recipe.resize = Resize::exact;
  recipe.size = {384, 384};
  recipe.center_crop = false;
}

void read_got_ocr2_keys(const RecipeReader& reader, ImageRecipe& recipe) {
  if (const auto size = reader.size("size")) {
    const json* given = reader.find("size");
    if (given->is_object() && size->form != Resize::exact)
      reader.refuse("size", "{}; tiles have a \"height\" and a \"width\"", given->dump());
    recipe.size = size->size;
  }
  if (!reader.boolean("do_resize", true)) reader.refuse("do_resize", "tiles cannot be made without resizing");
  reader.boolean("crop_to_patches", true);  // the processor of the model makes tiles whatever it says
  recipe.tiling.min = reader.whole("min_patches", recipe.tiling.min, 1, kMostTiles);
  recipe.tiling.max = reader.whole("max_patches", recipe.tiling.max, 1, kMostTiles);
  if (recipe.tiling.min > recipe.tiling.max) {
    reader.refuse("min_patches", "{} is more than \"max_patches\", {}", recipe.tiling.min, recipe.tiling.max);
  }
  recipe.tiling.thumbnail = reader.boolean("use_thumbnail", true);
}

void write_got_ocr2_keys(const ImageRecipe& recipe, json& object) {
  object["do_resize"] = true;
  object["size"] = {{"height", recipe.size.height}, {"width", recipe.size.width}};
  object["crop_to_patches"] = true;
  object["min_patches"] = recipe.tiling.min;
  object["max_patches"] = recipe.tiling.max;
  if (!recipe.tiling.thumbnail) object["use_thumbnail"] = false;  // not a key of transformers
}

ImageTiling plan_got_ocr2(const ImageRecipe& recipe, ImageSize image) {
  TileGrid grid;
  if (recipe.tiling.max > 1) grid = closest_grid(recipe, image);
  grid.thumbnail = recipe.tiling.thumbnail && grid.rows * grid.columns > 1;
  return {.padded = image,
          .canvas = {recipe.size.height * grid.rows, recipe.size.width * grid.columns},
          .tile = recipe.size,
          .grid = grid};
}

ImageRecipe internvl_recipe(const InternVlImageKeys& keys) {
  ImageRecipe recipe{.processor = ImageRecipe::Processor::got_ocr2};
  set_got_ocr2_defaults(recipe);
  recipe.size = {keys.image_size, keys.image_size};
  recipe.mean = {0.485, 0.456, 0.406};
  recipe.std = {0.229, 0.224, 0.225};
  recipe.tiling.min = keys.dynamic_image_size ? keys.min_dynamic_patch : 1;
  recipe.tiling.max = keys.dynamic_image_size ? keys.max_dynamic_patch : 1;
  recipe.tiling.thumbnail = keys.use_thumbnail;
  require(
      recipe.size.height > 0 && recipe.tiling.min >= 1 && recipe.tiling.min <= recipe.tiling.max &&
          recipe.tiling.max <= kMostTiles,
      ExitCode::bad_data,
      "config.json: an image size of {} and min_dynamic_patch {} to max_dynamic_patch {}; the size must be "
      "positive, the others from 1 to {}",
      keys.image_size, recipe.tiling.min, recipe.tiling.max, kMostTiles);
  return recipe;
}

}  // namespace longsight::data
