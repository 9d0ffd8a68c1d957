// From a decoded image to the pixel values of a vision tower: the steps of the CLIP, LLaVA and SigLIP image
// processors of transformers (their Pillow backends), to the bit.
//
// Steps, in this order: pad to a square; resize; shift (augmentation); centre crop; rescale; normalise.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "runtime/data/image_resize.h"
#include "runtime/tensor/tensor.h"

namespace longsight::data {

// The content of preprocessor_config.json, as far as it changes pixels.
struct ImageRecipe {
  enum class Processor { clip, llava, siglip };
  enum class Resize {
    none,
    shortest_edge,  // the shorter edge becomes `size.height`, the other one follows, truncated to an integer
    exact,          // both edges become `size`, whatever the aspect ratio
  };

  Processor processor = Processor::clip;
  bool pad_to_square = false;  // with the mean colour, as the original LLaVA (image_aspect_ratio: pad)
  Resize resize = Resize::shortest_edge;
  ImageSize size{224, 224};
  Resample resample = Resample::bicubic;
  PassOrder pass_order = PassOrder::pillow_13;
  bool center_crop = true;
  ImageSize crop{224, 224};  // an image smaller than it gets a black border
  bool rescale = true;
  double rescale_factor = 1.0 / 255;
  bool normalize = true;
  std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};
  std::array<double, 3> std{0.26862954, 0.26130258, 0.27577711};
  bool convert_rgb = true;  // carried; decoded images are RGB anyway

  friend bool operator==(const ImageRecipe&, const ImageRecipe&) = default;
};

// From preprocessor_config.json. Sizes are a number, [height, width], {shortest_edge} or {height, width};
// absent keys and nulls take the defaults of the processor's class. bad_data naming `where` and the key:
// another processor type, a key that would change the pixels in a way not known here, a value of the wrong
// type or range.
ImageRecipe image_recipe_from_json(const nlohmann::json& json, std::string_view where);

// As preprocessor_config.json. A padded CLIP recipe is written as LlavaImageProcessor, the one with padding.
nlohmann::json json_of(const ImageRecipe& recipe);

std::string_view name_of(ImageRecipe::Processor processor);  // "CLIPImageProcessor"

// Moves the content by (dx, dy) pixels, to the right and down; the edge pixels repeat.
Image shift_image(const Image& image, i64 dx, i64 dy);

struct Shift {
  i64 dx = 0;
  i64 dy = 0;
};

// The 8-bit image just before rescaling and normalising; the shift is in pixels of the resized image.
Image prepare_image(const ImageRecipe& recipe, const Image& image, Shift shift = {});

// x = f32(f64(u8) * factor), (x - mean) / std in f32. `values` [3, H, W] f32 is overwritten.
void normalize_image(const ImageRecipe& recipe, const Image& prepared, Tensor values);

// prepare_image and normalize_image: [3, H, W] f32.
OwnedTensor pixel_values(const ImageRecipe& recipe, const Image& image, Shift shift = {});

// What comes out for an image of this size, without its pixels.
ImageSize processed_size(const ImageRecipe& recipe, ImageSize image);

struct PatchGrid {
  i64 rows = 0;
  i64 columns = 0;
  i64 patches() const { return rows * columns; }
  friend bool operator==(const PatchGrid&, const PatchGrid&) = default;
};

// Whole patches of patch_size x patch_size pixels, as the tower's convolution counts them: a rest at the
// right and lower edge is not seen (SigLIP 384 / 14).
PatchGrid processed_grid(const ImageRecipe& recipe, ImageSize image, i64 patch_size);

}  // namespace longsight::data
