// From decoded images to the pixel values of a vision tower: the image processors of transformers (their
// Pillow backends), to the bit. What is done to an image of which size is in image_plan.h.
//
// Steps, in this order: pad to a square; resize, of Idefics3 twice; shift (augmentation); centre crop, or cut
// into tiles; rescale; normalise.
#pragma once

#include <functional>
#include <vector>

#include "runtime/data/image/image_tiling.h"
#include "runtime/tensor/tensor.h"

namespace longsight::data {

// Moves the content by (dx, dy) pixels, to the right and down; the edge pixels repeat.
Image shift_image(Image image, i64 dx, i64 dy);

struct Shift {
  i64 dx = 0;
  i64 dy = 0;
};

// The 8-bit images just before rescaling and normalising, all of one size: tiles row by row, then the
// thumbnail; one image where the recipe makes no tiles. The shift is in pixels of the resized image. `frames`
// of a video, of which this is one, share its budget of tokens.
std::vector<Image> prepare_image(const ImageRecipe& recipe, const Image& image, Shift shift = {},
                                 i64 frames = 1);

// As ImageSource::pixels gives them, x = f32(f64(u8) * factor), (x - mean) / std in f32: [tiles, 3, H, W], or
// of a recipe that makes patch rows [tiles * rows * columns, 3 * frames_per_patch * P * P]: each row in the
// order (channel, frame, y, x), an image being one frame again and again; rows by merge x merge blocks (block
// row, block column, row in the block, column in it).
OwnedTensor pixel_values(const ImageRecipe& recipe, const Image& image, Shift shift = {});

// Of a video; frame(i) is called once for each i in order, and its result is kept no longer than needed. A
// last frame without companions is repeated. All frames are of one size.
OwnedTensor video_pixel_values(const ImageRecipe& recipe, i64 frames, const std::function<Image(i64)>& frame,
                               Shift shift = {});

}  // namespace longsight::data
