#include "runtime/data/image/image_recipe_reader.h"

#include <algorithm>
#include <cmath>

namespace longsight::data {
namespace {

using nlohmann::json;
using Resize = ImageRecipe::Resize;

constexpr i64 kMaxSide = 16384;  // of a size in the file

constexpr std::string_view kIgnored[] = {
    "image_processor_type",
    "video_processor_type",
    "feature_extractor_type",
    "processor_class",
    "_processor_class",
    "_valid_processor_keys",
    "default_to_square",  // of a size that is a number; asked for where that can be
    "image_seq_length",   // counted by the text side
    "disable_grouping",
    "device",
    "return_tensors",
    "num_additional_image_tokens",
    "patch_size",
    "vision_feature_select_strategy",
    "longsight",  // see preprocessor_file.h
};

}  // namespace

bool changes_no_pixels(std::string_view key) {
  return std::find(std::begin(kIgnored), std::end(kIgnored), key) != std::end(kIgnored);
}

const json* RecipeReader::find(const char* key) const {
  asked_.emplace(key);
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

bool RecipeReader::boolean(const char* key, bool otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) refuse(key, "{} is not true or false", value->dump());
  return value->get<bool>();
}

double RecipeReader::finite(const char* key, const json& value) const {
  if (!value.is_number() || !std::isfinite(value.get<double>()))
    refuse(key, "{} is not a number", value.dump());
  return value.get<double>();
}

double RecipeReader::number(const char* key, double otherwise) const {
  const json* value = find(key);
  return value == nullptr ? otherwise : finite(key, *value);
}

i64 RecipeReader::whole(const char* key, i64 otherwise, i64 least, i64 most) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number_integer() || *value < least || *value > most) {
    refuse(key, "{} is not a whole number from {} to {}", value->dump(), least, most);
  }
  return value->get<i64>();
}

std::array<double, 3> RecipeReader::three(const char* key, const std::array<double, 3>& otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->is_number()) {
    const double x = finite(key, *value);
    return {x, x, x};
  }
  if (!value->is_array() || value->size() != 3) refuse(key, "it must be a number or a list of three");
  return {finite(key, (*value)[0]), finite(key, (*value)[1]), finite(key, (*value)[2])};
}

i64 RecipeReader::side(const char* key, const json& value) const {
  if (!value.is_number_integer() || value < 1 || value > kMaxSide) {
    refuse(key, "{} is not a whole number from 1 to {}", value.dump(), kMaxSide);
  }
  return value.get<i64>();
}

std::optional<RecipeReader::Size> RecipeReader::size(const char* key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array()) {
    if (value->size() != 2) refuse(key, "a list must be [height, width]");
    return Size{Resize::exact, {side(key, (*value)[0]), side(key, (*value)[1])}};
  }
  if (!value->is_object()) {
    const i64 edge = side(key, *value);
    return Size{Resize::shortest_edge, {edge, edge}};
  }
  json given = *value;
  std::erase_if(given.get_ref<json::object_t&>(), [](const auto& item) { return item.second.is_null(); });
  for (const auto& [name, form] :
       {std::pair("shortest_edge", Resize::shortest_edge), std::pair("longest_edge", Resize::longest_edge)}) {
    if (given.size() == 1 && given.contains(name)) {
      const i64 edge = side(key, given[name]);
      return Size{form, {edge, edge}};
    }
  }
  if (given.size() == 2 && given.contains("height") && given.contains("width")) {
    return Size{Resize::exact, {side(key, given["height"]), side(key, given["width"])}};
  }
  refuse(key, "{}; known are {{\"shortest_edge\"}}, {{\"longest_edge\"}} and {{\"height\", \"width\"}}",
         value->dump());
}

void RecipeReader::refuse_other_keys() const {
  for (const auto& [key, value] : object_.items()) {
    if (changes_no_pixels(key) || asked_.contains(key) || value.is_null() || value == false) continue;
    refuse(key, "it is not known and may change the pixels (value {}); remove it if it does not",
           value.dump());
  }
}

}  // namespace longsight::data
