#include "launch/media_maker.h"

#include <filesystem>
#include <functional>
#include <mutex>
#include <set>

#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/data/image/asked_recipe.h"
#include "runtime/data/media_text.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

using model::MediaStyle;

// What may look otherwise than meant is said once, however often an image is read.
std::function<void(std::string_view)> warn_once() {
  struct Said {
    std::mutex mutex;
    std::set<std::string, std::less<>> texts;
  };
  return [said = std::make_shared<Said>()](std::string_view text) {
    const std::lock_guard lock(said->mutex);
    if (said->texts.emplace(text).second) log_warn("{}", text);
  };
}

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

MediaMaker::MediaMaker(const std::string& folder, const model::ModelConfig& config,
                       const data::Tokenizer& tokenizer, const data::ImageOptions& options, bool required)
    : config_(config), decode_{.warn = warn_once()} {
  if (!config.has_vision()) return;
  recipes_.image = read_image_recipe(folder, config, required);
  recipes_.image.patch = config.vision.patch;
  data::apply(options, recipes_.image, decode_);
  check_recipe(recipes_.image, config, folder);
  image_placeholder_ = tokenizer.token(config.image_token);
  if (config.video_token < 0) return;
  video_placeholder_ = tokenizer.token(config.video_token);
  if (const auto file = recipe_file(folder, "video_preprocessor_config.json", "video_processor")) {
    recipes_.video = data::video_recipe_from_json(file->json, file->where);
  } else if (const auto of_images = recipe_file(folder, "preprocessor_config.json", "image_processor")) {
    recipes_.video = data::video_recipe_from_json(of_images->json, of_images->where);
  } else {
    recipes_.video =
        data::video_recipe_from_json(data::json_of(recipes_.image), "the defaults of the video processor");
  }
  data::DecodeOptions same = decode_;
  data::apply(options, *recipes_.video, same);
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
