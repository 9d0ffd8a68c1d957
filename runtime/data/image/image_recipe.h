// What an image processor of transformers does to an image: the content of preprocessor_config.json, as far
// as it changes pixels. One struct for all processors; each one reads the part that is its own.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "runtime/data/image/image_resize.h"

namespace longsight::data {

inline constexpr i64 kMostTiles = 1024;  // of an image

struct ImageRecipe {
  enum class Processor {
    clip,
    llava,     // CLIP's, with padding
    siglip,    // LLaVA with SigLIP, PaliGemma
    got_ocr2,  // InternVL: tiles in the grid of the closest aspect ratio
    qwen2_vl,  // Qwen2-VL, Qwen2.5-VL: any size, as rows of patches
    qwen2_vl_video,
    idefics3,  // tiles of an image of a set longest edge
    smolvlm,   // the same under another name
  };
  enum class Resize {
    none,
    shortest_edge,  // the shorter edge becomes `size.height`, the other one follows, truncated to an integer
    longest_edge,   // Idefics3: the longer edge becomes `size.height`, the other one follows, rounded up to
                    // even
    exact,          // both edges become `size`, whatever the aspect ratio
  };

  Processor processor = Processor::clip;
  bool pad_to_square = false;  // with the mean colour, as the original LLaVA (image_aspect_ratio: pad)
  Resize resize = Resize::shortest_edge;
  ImageSize size{224, 224};  // of got_ocr2: of a tile
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
  // Side of the tower's patches. In the file for Qwen2-VL only: of the others the caller sets it, from the
  // model's config.json, before asking for a layout.
  i64 patch = 14;

  // got_ocr2, idefics3, smolvlm
  struct Tiling {
    i64 min = 1;            // tiles of an image, the thumbnail not counted
    i64 max = 12;           // 0: no limit but that of the size (idefics3, smolvlm)
    bool thumbnail = true;  // got_ocr2: append the whole image where there is more than one tile
    bool split = true;      // idefics3, smolvlm: false squashes each image into one tile
    i64 side = 364;         // idefics3, smolvlm: of a tile (max_image_size)
    friend bool operator==(const Tiling&, const Tiling&) = default;
  } tiling{};

  // qwen2_vl, qwen2_vl_video
  struct PixelRange {
    i64 min = 56 * 56;  // pixels of an image or of a frame after the resize
    i64 max = 28 * 28 * 1280;
    i64 merge = 2;                      // edges are multiples of patch * merge
    i64 frames_per_patch = 2;           // temporal patch
    i64 video_tokens = 0;               // of a whole video, at most about nine tenths of it; 0: no limit
    std::optional<ImageSize> wanted{};  // of one picture: takes the place of its own size (asked_recipe.h)
    friend bool operator==(const PixelRange&, const PixelRange&) = default;
  } pixels{};

  bool is_video() const { return processor == Processor::qwen2_vl_video; }
  bool makes_patch_rows() const { return is_video() || processor == Processor::qwen2_vl; }

  friend bool operator==(const ImageRecipe&, const ImageRecipe&) = default;
};

std::string_view name_of(ImageRecipe::Processor processor);  // "CLIPImageProcessor"

// From preprocessor_config.json, or the value of "image_processor" in processor_config.json. Sizes are a
// number, [height, width], {shortest_edge} or {height, width}; absent keys and nulls take the defaults of the
// processor's class. bad_data naming `where` and the key: another processor type, a key that would change the
// pixels in a way not known here, a value of the wrong type or range.
ImageRecipe image_recipe_from_json(const nlohmann::json& json, std::string_view where);

// The recipe for frames of videos: from video_preprocessor_config.json, from "video_processor" in
// processor_config.json or, where neither is there, from preprocessor_config.json; absent keys take the
// defaults of Qwen2VLVideoProcessor. Other families' videos are refused.
ImageRecipe video_recipe_from_json(const nlohmann::json& json, std::string_view where);

// Keys of the config.json of the original InternVLChatModel, which say what becomes of an image there.
struct InternVlImageKeys {
  i64 image_size = 448;  // force_image_size, or vision_config.image_size
  bool dynamic_image_size = false;
  i64 min_dynamic_patch = 1;
  i64 max_dynamic_patch = 6;
  bool use_thumbnail = false;
};

// ImageNet mean and std, bicubic; without dynamic_image_size every image is one tile. The preprocessor file
// of such a folder (CLIP's, where there is one) describes something else and does not count.
ImageRecipe internvl_recipe(const InternVlImageKeys& keys);

// As preprocessor_config.json (of a video recipe: video_preprocessor_config.json). A padded CLIP recipe is
// written as LlavaImageProcessor, the one with padding.
nlohmann::json json_of(const ImageRecipe& recipe);

}  // namespace longsight::data
