// What a user may change of a model's image recipe (data.images of the configuration), and smaller images for
// samples that are too long.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "runtime/data/image/asked_size.h"
#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/image/image_tiling.h"

namespace longsight::data {

struct ImageOptions {
  // Pixels of an image, or of a frame of a video, after the resize: of Qwen2-VL.
  std::optional<i64> min_pixels{}, max_pixels{};
  std::optional<i64> max_tiles{};      // the thumbnail not counted: of InternVL, Idefics3, SmolVLM
  std::optional<std::string> alpha{};  // drop, white
  std::optional<bool> exif{};          // turn images as their camera noted
  std::optional<i64> pillow{};         // whose order of the passes of a resize: 13, 12
  std::optional<std::string> image_aspect_ratio{};  // crop, pad: of CLIP, LLaVA, SigLIP
  template <class S, class V>
  static void fields(S& s, V&& visit) {
    visit("min_pixels", s.min_pixels);
    visit("max_pixels", s.max_pixels);
    visit("max_tiles", s.max_tiles);
    visit("alpha", s.alpha);
    visit("exif", s.exif);
    visit("pillow", s.pillow);
    visit("image_aspect_ratio", s.image_aspect_ratio);
  }
};

// What is not given stays as it is. ExitCode::usage, naming data.images.KEY: a value out of range, or an
// option that this recipe has not.
void apply(const ImageOptions& options, ImageRecipe& recipe, DecodeOptions& decode);

// How the images of a model become pixels, and the frames of its videos where it takes them.
struct MediaRecipes {
  ImageRecipe image;
  std::optional<ImageRecipe> video{};

  const ImageRecipe& of(bool is_video) const { return is_video ? *video : image; }
  friend bool operator==(const MediaRecipes&, const MediaRecipes&) = default;
};

// An image, or a video as `frames` images of one size.
struct MediaSize {
  ImageSize size;
  i64 frames = 1;
  bool video = false;
  AskedSize asked{};  // what its record asks for
};

// Text tokens that stand for an image, separators included.
using TokensOfImage = std::function<i64(const ImageLayout& layout, const TileGrid& grid)>;

// The recipes with the most tiles or pixels, at most those of `recipes`, with which these images and videos
// take no more than `budget` tokens together; nothing if none do (also if each image takes a fixed number).
// Limits are lowered for all alike: tiles one by one down to the fewest that the recipe allows, pixels (of an
// image, or of a frame) down to the least of each recipe. The same for the same arguments everywhere.
// bad_data where image_layout refuses a size.
std::optional<MediaRecipes> shrink_media(const MediaRecipes& recipes, std::span<const MediaSize> media,
                                         i64 budget, const TokensOfImage& tokens);

}  // namespace longsight::data
