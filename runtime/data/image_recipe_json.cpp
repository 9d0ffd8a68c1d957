// preprocessor_config.json to ImageRecipe and back.
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/data/image_processor.h"

namespace longsight::data {
namespace {

using nlohmann::json;
using Processor = ImageRecipe::Processor;

constexpr i64 kMaxSide = 16384;  // of a size in the file

// Keys without an influence on pixel values.
constexpr std::string_view kIgnored[] = {
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "_processor_class",
    "_valid_processor_keys",
    "image_seq_length",  // counted by the text side
    "disable_grouping",
    "device",
    "return_tensors",
    "num_additional_image_tokens",
    "patch_size",
    "vision_feature_select_strategy",
};
// Keys that are read below.
constexpr std::string_view kRead[] = {
    "do_resize",  "size",      "default_to_square", "resample",       "do_center_crop",
    "crop_size",  "do_pad",    "do_rescale",        "rescale_factor", "do_normalize",
    "image_mean", "image_std", "do_convert_rgb",    "data_format",
};

template <std::size_t N>
bool contains(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Reads keys of one object; what it cannot use is an error with the file and the key.
class Reader {
 public:
  Reader(const json& object, std::string_view where) : object_(object), where_(where) {}

  const json* find(const char* key) const {  // null counts as absent
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  template <class... A>
  [[noreturn]] void refuse(std::string_view key, fmt::format_string<A...> text, A&&... values) const {
    fail(ExitCode::bad_data, "{}: key '{}': {}", where_, key, fmt::format(text, std::forward<A>(values)...));
  }

  bool boolean(const char* key, bool otherwise) const {
    const json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) refuse(key, "{} is not true or false", value->dump());
    return value->get<bool>();
  }

  double number(const char* key, double otherwise) const {
    const json* value = find(key);
    return value == nullptr ? otherwise : finite(key, *value);
  }

  double finite(const char* key, const json& value) const {
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      refuse(key, "{} is not a number", value.dump());
    return value.get<double>();
  }

  std::array<double, 3> three(const char* key, const std::array<double, 3>& otherwise) const {
    const json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_number()) {
      const double x = finite(key, *value);
      return {x, x, x};
    }
    if (!value->is_array() || value->size() != 3) refuse(key, "it must be a number or a list of three");
    return {finite(key, (*value)[0]), finite(key, (*value)[1]), finite(key, (*value)[2])};
  }

  i64 side(const char* key, const json& value) const {
    if (!value.is_number_integer() || value < 1 || value > kMaxSide) {
      refuse(key, "{} is not a whole number from 1 to {}", value.dump(), kMaxSide);
    }
    return value.get<i64>();
  }

  // A number (square, or the shortest edge), [height, width], {shortest_edge} or {height, width}.
  struct Size {
    bool shortest_edge = false;
    ImageSize size;
  };
  std::optional<Size> size(const char* key, bool number_is_square) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_array()) {
      if (value->size() != 2) refuse(key, "a list must be [height, width]");
      return Size{false, {side(key, (*value)[0]), side(key, (*value)[1])}};
    }
    if (!value->is_object()) {
      const i64 edge = side(key, *value);
      return Size{!number_is_square, {edge, edge}};
    }
    json given = *value;
    std::erase_if(given.get_ref<json::object_t&>(), [](const auto& item) { return item.second.is_null(); });
    if (given.size() == 1 && given.contains("shortest_edge")) {
      const i64 edge = side(key, given["shortest_edge"]);
      return Size{true, {edge, edge}};
    }
    if (given.size() == 2 && given.contains("height") && given.contains("width")) {
      return Size{false, {side(key, given["height"]), side(key, given["width"])}};
    }
    refuse(key, "{}; known are {{\"shortest_edge\"}} and {{\"height\", \"width\"}}", value->dump());
  }

 private:
  const json& object_;
  std::string where_;
};

Processor processor_of(const Reader& reader) {
  const char* key = "image_processor_type";
  const json* value = reader.find(key);
  if (value == nullptr) {
    key = "feature_extractor_type";
    value = reader.find(key);
  }
  if (value == nullptr) reader.refuse("image_processor_type", "it is missing");
  if (!value->is_string()) reader.refuse(key, "{} is not a name", value->dump());
  std::string name = value->get<std::string>();
  if (const auto at = name.find("FeatureExtractor"); at != std::string::npos)
    name.replace(at, 16, "ImageProcessor");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  for (const Processor p : {Processor::clip, Processor::llava, Processor::siglip}) {
    if (name == name_of(p)) return p;
  }
  reader.refuse(key,
                "image processor {} is not supported; known are CLIPImageProcessor, LlavaImageProcessor, "
                "SiglipImageProcessor",
                value->dump());
}

ImageRecipe class_defaults(Processor processor) {
  ImageRecipe recipe{.processor = processor};
  if (processor == Processor::siglip) {
    recipe.resize = ImageRecipe::Resize::exact;
    recipe.center_crop = false;
    recipe.mean = recipe.std = {0.5, 0.5, 0.5};
  }
  return recipe;
}

Resample resample_of(const Reader& reader, Resample otherwise) {
  const json* value = reader.find("resample");
  if (value == nullptr) return otherwise;
  for (const Resample r : {Resample::lanczos, Resample::bilinear, Resample::bicubic}) {
    if (*value == static_cast<int>(r)) return r;
  }
  reader.refuse("resample", "filter {} is not supported; known are 1 (Lanczos), 2 (bilinear), 3 (bicubic)",
                value->dump());
}

void refuse_unknown_keys(const json& object, const Reader& reader) {
  for (const auto& [key, value] : object.items()) {
    if (contains(kIgnored, key) || contains(kRead, key) || value.is_null() || value == false) continue;
    reader.refuse(key, "it is not known and may change the pixels (value {}); remove it if it does not",
                  value.dump());
  }
}

}  // namespace

std::string_view name_of(ImageRecipe::Processor processor) {
  switch (processor) {
    case Processor::clip:
      return "CLIPImageProcessor";
    case Processor::llava:
      return "LlavaImageProcessor";
    case Processor::siglip:
      return "SiglipImageProcessor";
  }
  return "";
}

ImageRecipe image_recipe_from_json(const json& object, std::string_view where) {
  require(object.is_object(), ExitCode::bad_data, "{}: a JSON object is expected", where);
  const Reader reader(object, where);
  ImageRecipe recipe = class_defaults(processor_of(reader));
  refuse_unknown_keys(object, reader);

  if (const auto size = reader.size("size", reader.boolean("default_to_square", false))) {
    recipe.resize = size->shortest_edge ? ImageRecipe::Resize::shortest_edge : ImageRecipe::Resize::exact;
    recipe.size = size->size;
  }
  if (!reader.boolean("do_resize", true)) recipe.resize = ImageRecipe::Resize::none;
  recipe.resample = resample_of(reader, recipe.resample);
  if (const auto crop = reader.size("crop_size", true)) {
    if (crop->shortest_edge) reader.refuse("crop_size", "it must have \"height\" and \"width\"");
    recipe.crop = crop->size;
  }
  recipe.center_crop = reader.boolean("do_center_crop", recipe.center_crop);
  recipe.pad_to_square = reader.boolean("do_pad", false);
  if (recipe.pad_to_square && recipe.processor != Processor::llava) {
    reader.refuse("do_pad", "padding is known of LlavaImageProcessor only, not of {}",
                  name_of(recipe.processor));
  }
  recipe.rescale = reader.boolean("do_rescale", true);
  recipe.rescale_factor = reader.number("rescale_factor", recipe.rescale_factor);
  recipe.normalize = reader.boolean("do_normalize", true);
  recipe.mean = reader.three("image_mean", recipe.mean);
  recipe.std = reader.three("image_std", recipe.std);
  for (const double s : recipe.std) {
    if (static_cast<float>(s) == 0) reader.refuse("image_std", "it must not be 0");
  }
  for (const double m : recipe.mean) {
    if (recipe.pad_to_square && (m < 0 || m > 1))
      reader.refuse("image_mean", "{} is no colour to pad with", m);
  }
  recipe.convert_rgb = reader.boolean("do_convert_rgb", true);
  if (const json* format = reader.find("data_format"); format != nullptr && *format != "channels_first") {
    reader.refuse("data_format", "{}; pixel values are made \"channels_first\" only", format->dump());
  }
  return recipe;
}

json json_of(const ImageRecipe& recipe) {
  const bool llava = recipe.processor == Processor::llava || recipe.pad_to_square;
  json object{
      {"image_processor_type", name_of(llava ? Processor::llava : recipe.processor)},
      {"do_resize", recipe.resize != ImageRecipe::Resize::none},
      {"resample", static_cast<int>(recipe.resample)},
      {"do_center_crop", recipe.center_crop},
      {"do_rescale", recipe.rescale},
      {"rescale_factor", recipe.rescale_factor},
      {"do_normalize", recipe.normalize},
      {"image_mean", recipe.mean},
      {"image_std", recipe.std},
      {"do_convert_rgb", recipe.convert_rgb},
  };
  if (recipe.resize == ImageRecipe::Resize::exact) {
    object["size"] = {{"height", recipe.size.height}, {"width", recipe.size.width}};
  } else {
    object["size"] = {{"shortest_edge", recipe.size.height}};
  }
  if (recipe.center_crop || recipe.processor != Processor::siglip) {
    object["crop_size"] = {{"height", recipe.crop.height}, {"width", recipe.crop.width}};
  }
  if (llava) object["do_pad"] = recipe.pad_to_square;
  return object;
}

}  // namespace longsight::data
