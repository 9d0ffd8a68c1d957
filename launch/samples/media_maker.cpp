#include "launch/samples/media_maker.h"

#include <filesystem>

#include "runtime/base/json.h"
#include "runtime/data/chat/media_text.h"
#include "runtime/data/image/asked_recipe.h"
#include "runtime/data/image/formats/picture_warnings.h"
#include "runtime/data/image/preprocessor_file.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

using model::MediaStyle;

// A processor file, or the part of processor_config.json that transformers 5 writes instead of it.
struct RecipeFile {
  Json json;
  std::string where;
};
std::optional<RecipeFile> recipe_file(const std::string& folder, const char* name, const char* part) {
  if (const std::string file = folder + "/" + name; fs::exists(file))
    return RecipeFile{read_json_file(file), file};
  if (const std::string file = folder + "/processor_config.json"; fs::exists(file)) {
    const Json json = read_json_file(file);
    if (const Json* object = optional_object(json, part, file))
      return RecipeFile{*object, file + ": " + part};
  }
  return std::nullopt;
}

// The remote code of the original InternVL reads its own configuration, not the file beside it.
data::ImageRecipe original_internvl_recipe(const model::ModelConfig& config) {
  const Json& c = config.source;
  return data::internvl_recipe({.image_size = config.vision.image_size,
                                .dynamic_image_size = c.value("dynamic_image_size", false),
                                .min_dynamic_patch = c.value("min_dynamic_patch", i64{1}),
                                .max_dynamic_patch = c.value("max_dynamic_patch", i64{6}),
                                .use_thumbnail = c.value("use_thumbnail", false)});
}

// What the family's processor class does by default, at the tower's size.
data::ImageRecipe default_recipe(const model::ModelConfig& config) {
  const i64 size = config.vision.image_size;
  const auto of_class = [](const char* type, Json more) {
    more["image_processor_type"] = type;
    return data::image_recipe_from_json(more, std::string("the defaults of ") + type);
  };
  const Json square{{"height", size}, {"width", size}};
  switch (config.media_style) {
    case MediaStyle::internvl:
      return config.family == "internvl_chat" ? original_internvl_recipe(config)
                                              : of_class("GotOcr2ImageProcessor", {{"size", square}});
    case MediaStyle::qwen:
      return of_class("Qwen2VLImageProcessor", {{"patch_size", config.vision.patch},
                                                {"merge_size", config.vision.merge},
                                                {"temporal_patch_size", config.vision.temporal}});
    case MediaStyle::smolvlm:
      return of_class("Idefics3ImageProcessor",
                      {{"size", {{"longest_edge", 4 * size}}}, {"max_image_size", {{"longest_edge", size}}}});
    case MediaStyle::plain:
      break;
  }
  if (!config.vision.class_row) return of_class("SiglipImageProcessor", {{"size", square}});
  return of_class("CLIPImageProcessor", {{"size", {{"shortest_edge", size}}}, {"crop_size", square}});
}

data::ImageRecipe read_image_recipe(const std::string& folder, const model::ModelConfig& config,
                                    bool required) {
  if (config.family == "internvl_chat") return original_internvl_recipe(config);
  if (const auto file = recipe_file(folder, "preprocessor_config.json", "image_processor"))
    return data::image_recipe_from_json(file->json, file->where);
  require(
      !required, ExitCode::missing_input,
      "{}: no preprocessor_config.json, which says how images become pixels; copy that of the model there",
      folder);
  return default_recipe(config);
}

// Every picture, wide or high, must come out in the form that the tower takes.
void check_recipe(const data::ImageRecipe& recipe, const model::ModelConfig& config,
                  const std::string& folder) {
  const model::VisionConfig& v = config.vision;
  const std::string where = folder + ": preprocessor_config.json";
  require(recipe.makes_patch_rows() == (v.image_size == 0), ExitCode::bad_data,
          "{} names {}, which does not belong to a {} model", where, name_of(recipe.processor),
          config.family);
  if (v.image_size == 0) {
    require(recipe.patch == v.patch && recipe.pixels.merge == v.merge &&
                recipe.pixels.frames_per_patch == v.temporal,
            ExitCode::bad_data,
            "{}: patch_size {}, merge_size {} and temporal_patch_size {} are not the {}, {} and {} of "
            "config.json",
            where, recipe.patch, recipe.pixels.merge, recipe.pixels.frames_per_patch, v.patch, v.merge,
            v.temporal);
    return;
  }
  for (const data::ImageSize image :
       {data::ImageSize{480, 640}, data::ImageSize{640, 480}, data::ImageSize{32, 32}}) {
    const data::ImageSize made = processed_size(recipe, image);
    require(made == data::ImageSize{v.image_size, v.image_size}, ExitCode::bad_data,
            "{} makes {} x {} pixels of an image of {} x {}, but image_size of config.json's vision_config "
            "is {}; "
            "make them agree (size, crop_size, do_center_crop)",
            where, made.width, made.height, image.width, image.height, v.image_size);
  }
}

// One tile, whatever the image: its header need not be read.
bool is_fixed(const data::ImageRecipe& recipe) {
  using Processor = data::ImageRecipe::Processor;
  return recipe.processor == Processor::clip || recipe.processor == Processor::llava ||
         recipe.processor == Processor::siglip;
}

}  // namespace

namespace {

constexpr const char* kPreprocessor = "preprocessor_config.json";
constexpr const char* kVideoPreprocessor = "video_preprocessor_config.json";

// Only what the folder itself says.
data::ImageOptions folder_options(const std::string& folder) {
  const auto file = recipe_file(folder, kPreprocessor, "image_processor");
  return file ? data::own_options(file->json, file->where) : data::ImageOptions{};
}

// An option of a file is of that file: an error in it is no mistake of the command line.
void apply_of_folder(const std::string& folder, const data::ImageOptions& options, data::ImageRecipe& recipe,
                     data::DecodeOptions& decode) {
  try {
    data::apply(options, recipe, decode);
  } catch (const Error& error) {
    fail(ExitCode::bad_data, "{}/{}: key 'longsight': {}", folder, kPreprocessor, error.what());
  }
}

data::ImageRecipe read_video_recipe(const std::string& folder, const data::ImageRecipe& image) {
  if (const auto file = recipe_file(folder, kVideoPreprocessor, "video_processor"))
    return data::video_recipe_from_json(file->json, file->where);
  if (const auto of_images = recipe_file(folder, kPreprocessor, "image_processor"))
    return data::video_recipe_from_json(of_images->json, of_images->where);
  return data::video_recipe_from_json(data::json_of(image), "the defaults of the video processor");
}

// How pictures become pixels: as the folder says, changed by the options.
struct Pixels {
  data::MediaRecipes recipes;
  data::DecodeOptions decode;
};

Pixels read_pixels(const std::string& folder, const model::ModelConfig& config,
                   const data::ImageOptions& options, bool required) {
  Pixels pixels;
  auto& [recipes, decode] = pixels;
  const data::ImageOptions of_folder = folder_options(folder);
  recipes.image = read_image_recipe(folder, config, required);
  recipes.image.patch = config.vision.patch;
  decode.alpha = data::usual_alpha(recipes.image.processor);
  apply_of_folder(folder, of_folder, recipes.image, decode);
  data::apply(options, recipes.image, decode);
  check_recipe(recipes.image, config, folder);
  if (config.video_token < 0) return pixels;
  recipes.video = read_video_recipe(folder, recipes.image);
  data::DecodeOptions same = decode;
  apply_of_folder(folder, of_folder, *recipes.video, same);
  data::apply(options, *recipes.video, same);
  return pixels;
}

// Whether the folder by itself says what makes these pixels.
bool says(const std::string& folder, const model::ModelConfig& config, const data::MediaRecipes& recipes,
          const data::DecodeOptions& decode) {
  try {
    const Pixels found = read_pixels(folder, config, {}, true);
    return found.recipes == recipes && found.decode.alpha == decode.alpha &&
           found.decode.exif_orientation == decode.exif_orientation;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

MediaMaker::MediaMaker(const std::string& folder, const model::ModelConfig& config,
                       const data::Tokenizer& tokenizer, const data::ImageOptions& options, bool required)
    : config_(config) {
  if (!config.has_vision()) return;
  Pixels pixels = read_pixels(folder, config, options, required);
  recipes_ = pixels.recipes;
  decode_ = pixels.decode;
  decode_.warn = data::counted_picture_warnings();
  image_placeholder_ = tokenizer.token(config.image_token);
  if (config.video_token >= 0) video_placeholder_ = tokenizer.token(config.video_token);
}

void MediaMaker::write_files(const std::string& folder, const std::string& processor_class) const {
  if (!any() || (processor_class.empty() && config_.family != "internvl_chat")) return;
  const bool says_it = says(folder, config_, recipes_, decode_);
  if (says_it && (fs::exists(folder + "/" + kPreprocessor) || config_.family == "internvl_chat")) return;
  const bool keys_of_class = config_.family != "internvl_chat";
  const auto write = [&](const char* name, const char* part, const data::ImageRecipe& recipe) {
    const std::string path = folder + "/" + name, joint = folder + "/processor_config.json";
    const auto before = recipe_file(folder, name, part);
    Json file =
        data::preprocessor_file(recipe, decode_, before ? before->json : Json::object(), keys_of_class);
    if (!processor_class.empty() && !file.contains("processor_class"))
      file["processor_class"] = processor_class;
    io::write_file(path, json_text(file, 2) + "\n");
    if (!fs::exists(joint)) return;
    Json all = read_json_file(joint);  // transformers 5 writes it, and reads it first
    if (optional_object(all, part, joint) == nullptr) return;
    all[part] = file;
    io::write_file(joint, json_text(all, 2) + "\n");
  };
  write(kPreprocessor, "image_processor", recipes_.image);
  if (recipes_.video) write(kVideoPreprocessor, "video_processor", *recipes_.video);
}

MediaMaker::Medium MediaMaker::medium(const data::ChatMedia& media, const std::string& where,
                                      const data::MediaRecipes& recipes) const {
  require(config_.has_vision(), ExitCode::bad_data,
          "{}: an image or video, but the model has no vision tower", where);
  require(!media.video || recipes_.video, ExitCode::bad_data, "{}: a video, but a {} model takes images only",
          where, config_.family);
  Medium medium;
  const data::ImageRecipe used = recipe_of(media, where, recipes);
  if (is_fixed(used)) {
    medium.layout.layout = config_.tile_layout();
  } else {
    try {
      medium.layout = data::read_media_layout(media.frames, used, decode_);
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", where, error.what());
    }
  }
  medium.layout.layout.video = media.video;
  if (media.video && media.frames_per_second > 0)
    medium.layout.layout.seconds_per_tile =
        static_cast<double>(config_.vision.temporal) / media.frames_per_second;
  medium.text = text_of(medium.layout, media.video);
  return medium;
}

data::ImageRecipe MediaMaker::recipe_of(const data::ChatMedia& media, const std::string& where,
                                        const data::MediaRecipes& recipes) const {
  try {
    return with_asked_size(recipes.of(media.video), recipes_.of(media.video), media.size);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", where, error.what());
  }
}

std::string MediaMaker::text_of(const data::MediaLayout& m, bool video) const {
  const std::string& placeholder = video ? video_placeholder_ : image_placeholder_;
  const i64 per_tile = config_.features_per_tile(m.layout);
  switch (config_.media_style) {
    case MediaStyle::plain:
      return data::plain_media_text(placeholder, config_.features(m.layout));
    case MediaStyle::internvl:
      return data::internvl_media_text(placeholder, m.grid, per_tile);
    case MediaStyle::qwen:
      return data::qwen_media_text(placeholder, {m.layout.tiles, m.layout.rows, m.layout.columns},
                                   config_.vision.merge);
    case MediaStyle::smolvlm:
      return data::smolvlm_media_text(placeholder, m.grid, per_tile);
  }
  fail(ExitCode::internal, "no media style {}", static_cast<int>(config_.media_style));
}

std::shared_ptr<data::ImageSource> MediaMaker::source(const data::ChatMedia& media, const Medium& medium,
                                                      data::Shift shift, const std::string& where,
                                                      const data::MediaRecipes& recipes) const {
  return std::make_shared<data::FileImage>(media.frames, recipe_of(media, where, recipes),
                                           medium.layout.layout, shift, decode_, where);
}

std::optional<data::MediaRecipes> MediaMaker::shrunk(std::span<const data::ChatMedia> all, i64 budget,
                                                     const std::string& where) const {
  if (is_fixed(recipes_.image)) return std::nullopt;
  std::vector<data::MediaSize> sizes;
  for (const data::ChatMedia& media : all) {
    sizes.push_back({.size = medium(media, where, recipes_).layout.size,
                     .frames = static_cast<i64>(media.frames.size()),
                     .video = media.video,
                     .asked = media.size});
  }
  return data::shrink_media(
      recipes_, sizes, budget,
      [&](const data::ImageLayout& layout, const data::TileGrid&) { return config_.features(layout); });
}

}  // namespace longsight::launch
