// CLIP's image processor, LLaVA's (CLIP's with padding) and SigLIP's.
#include <algorithm>

#include "runtime/data/image/image_kinds.h"

namespace longsight::data {
namespace {

using nlohmann::json;
using Processor = ImageRecipe::Processor;
using Resize = ImageRecipe::Resize;

ImageSize resized_size(const ImageRecipe& recipe, ImageSize image) {
  if (recipe.resize == Resize::none) return image;
  if (recipe.resize == Resize::exact) return recipe.size;
  const i64 short_edge = std::min(image.height, image.width);
  const i64 long_edge = std::max(image.height, image.width);
  // Python's int(size * long / short): a division of integers rounded once, then truncated.
  const double ratio =
      static_cast<double>(checked_mul(recipe.size.height, long_edge)) / static_cast<double>(short_edge);
  const i64 new_long = static_cast<i64>(ratio);
  return image.width <= image.height ? ImageSize{new_long, recipe.size.height}
                                     : ImageSize{recipe.size.height, new_long};
}

}  // namespace

void set_clip_defaults(ImageRecipe& recipe) {
  if (recipe.processor != Processor::siglip) return;
  recipe.resize = Resize::exact;
  recipe.center_crop = false;
  recipe.mean = recipe.std = {0.5, 0.5, 0.5};
}

void read_clip_keys(const RecipeReader& reader, ImageRecipe& recipe) {
  const bool square = reader.boolean("default_to_square", false);
  if (const auto size = reader.size("size")) {
    const json* given = reader.find("size");
    if (size->form == Resize::longest_edge)
      reader.refuse("size", "{}; the shortest edge is known", given->dump());
    recipe.resize = given->is_number() && square ? Resize::exact : size->form;
    recipe.size = size->size;
  }
  if (!reader.boolean("do_resize", true)) recipe.resize = Resize::none;
  if (const auto crop = reader.size("crop_size")) {
    if (reader.find("crop_size")->is_object() && crop->form != Resize::exact)
      reader.refuse("crop_size", "it must have \"height\" and \"width\"");
    recipe.crop = crop->size;
  }
  recipe.center_crop = reader.boolean("do_center_crop", recipe.center_crop);
  recipe.pad_to_square = reader.boolean("do_pad", false);
  if (!recipe.pad_to_square) return;
  if (recipe.processor != Processor::llava) {
    reader.refuse("do_pad", "padding is known of LlavaImageProcessor only, not of {}",
                  name_of(recipe.processor));
  }
  for (const double m : recipe.mean) {
    if (m < 0 || m > 1) reader.refuse("image_mean", "{} is no colour to pad with", m);
  }
}

void write_clip_keys(const ImageRecipe& recipe, json& object) {
  const bool llava = recipe.processor == Processor::llava || recipe.pad_to_square;
  if (llava) object["image_processor_type"] = name_of(Processor::llava);
  object["do_resize"] = recipe.resize != Resize::none;
  object["do_center_crop"] = recipe.center_crop;
  if (recipe.resize == Resize::exact) {
    object["size"] = {{"height", recipe.size.height}, {"width", recipe.size.width}};
  } else {
    object["size"] = {{"shortest_edge", recipe.size.height}};
  }
  if (recipe.center_crop || recipe.processor != Processor::siglip) {
    object["crop_size"] = {{"height", recipe.crop.height}, {"width", recipe.crop.width}};
  }
  if (llava) object["do_pad"] = recipe.pad_to_square;
}

ImageTiling plan_clip(const ImageRecipe& recipe, ImageSize image) {
  ImageTiling plan{.padded = image, .canvas = {}, .tile = {}};
  if (recipe.pad_to_square) plan.padded.height = plan.padded.width = std::max(image.height, image.width);
  plan.canvas = resized_size(recipe, plan.padded);
  plan.tile = recipe.center_crop ? recipe.crop : plan.canvas;
  return plan;
}

}  // namespace longsight::data
