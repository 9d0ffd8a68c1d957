// What becomes of an image of a given size, known without its pixels: sizes and tiles. Pure and cheap, so
// that tokens are counted from the headers of files.
#pragma once

#include <optional>

#include "runtime/data/image/image_recipe.h"
#include "runtime/data/image/image_source.h"
#include "runtime/data/image/tile_grid.h"

namespace longsight::data {

struct ImageTiling {
  ImageSize padded;                  // a square around the image, or the size of the image
  std::optional<ImageSize> first{};  // Idefics3 resizes twice
  ImageSize canvas;                  // the resized image
  ImageSize tile;                    // the canvas is grid.rows x grid.columns tiles, or it is cropped to one
  TileGrid grid{};
  bool thumbnail_of_canvas = false;  // or of the image as it came

  i64 tiles() const { return grid.rows * grid.columns + (grid.thumbnail ? 1 : 0); }
  friend bool operator==(const ImageTiling&, const ImageTiling&) = default;
};

// bad_data: sides so unequal that the processor refuses them (Qwen2-VL: 200 : 1), that nothing is left of
// one, or that more than 178 956 970 pixels would come out. `frames` of a video share its budget of tokens.
ImageTiling image_tiling(const ImageRecipe& recipe, ImageSize image, i64 frames = 1);

// The same as tiles of patches. A video recipe takes any number of frames, the others one.
ImageLayout image_layout(const ImageRecipe& recipe, ImageSize image, i64 frames = 1);

// For the text: 1 x 1 without thumbnail where the processor makes no tiles.
TileGrid tile_grid(const ImageRecipe& recipe, ImageSize image);

// Size of a tile that comes out for an image of this size.
ImageSize processed_size(const ImageRecipe& recipe, ImageSize image);

}  // namespace longsight::data
