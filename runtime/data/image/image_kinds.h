// The processors behind image_tiling and the recipe's JSON: one file each. Internal to this folder.
#pragma once

#include <nlohmann/json.hpp>

#include "runtime/data/image/image_recipe_reader.h"
#include "runtime/data/image/image_tiling.h"

namespace longsight::data {

// Each kind reads the keys that are its own into a recipe with the defaults of its class, plans an image, and
// writes its own keys.

// CLIP, LLaVA, SigLIP: image_clip.cpp
void set_clip_defaults(ImageRecipe& recipe);
void read_clip_keys(const RecipeReader& reader, ImageRecipe& recipe);
void write_clip_keys(const ImageRecipe& recipe, nlohmann::json& object);
ImageTiling plan_clip(const ImageRecipe& recipe, ImageSize image);

// InternVL: image_got_ocr2.cpp
void set_got_ocr2_defaults(ImageRecipe& recipe);
void read_got_ocr2_keys(const RecipeReader& reader, ImageRecipe& recipe);
void write_got_ocr2_keys(const ImageRecipe& recipe, nlohmann::json& object);
ImageTiling plan_got_ocr2(const ImageRecipe& recipe, ImageSize image);

// Qwen2-VL, Qwen2.5-VL, their videos: image_qwen2_vl.cpp
void set_qwen2_vl_defaults(ImageRecipe& recipe);
void read_qwen2_vl_keys(const RecipeReader& reader, ImageRecipe& recipe);
void write_qwen2_vl_keys(const ImageRecipe& recipe, nlohmann::json& object);
ImageTiling plan_qwen2_vl(const ImageRecipe& recipe, ImageSize image, i64 frames);

// Idefics3, SmolVLM: image_idefics3.cpp
void set_idefics3_defaults(ImageRecipe& recipe);
void read_idefics3_keys(const RecipeReader& reader, ImageRecipe& recipe);
void write_idefics3_keys(const ImageRecipe& recipe, nlohmann::json& object);
ImageTiling plan_idefics3(const ImageRecipe& recipe, ImageSize image);

}  // namespace longsight::data
