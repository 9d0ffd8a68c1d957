#include "runtime/data/image/preprocessor_file.h"

#include "runtime/data/image/image_recipe_reader.h"

namespace longsight::data {
namespace {

using nlohmann::json;
using Processor = ImageRecipe::Processor;

constexpr const char* kOwn = "longsight";

template <class T>
bool holds(const json& value) {
  if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
  if constexpr (std::is_same_v<T, i64>) return value.is_number_integer();
  return value.is_string();
}

json own_keys(const ImageRecipe& recipe, const DecodeOptions& decode, bool keys_of_class) {
  const bool tiles = recipe.processor == Processor::idefics3 || recipe.processor == Processor::smolvlm;
  json own{{"alpha", decode.alpha == Alpha::white ? "white" : "drop"},
           {"exif", decode.exif_orientation},
           {"pillow", recipe.pass_order == PassOrder::pillow_12 ? 12 : 13}};
  if ((tiles || !keys_of_class) && recipe.tiling.max > 0) own["max_tiles"] = recipe.tiling.max;
  if (recipe.processor == Processor::siglip && recipe.pad_to_square) own["image_aspect_ratio"] = "pad";
  return own;
}

}  // namespace

Alpha usual_alpha(Processor processor) {
  return processor == Processor::qwen2_vl || processor == Processor::qwen2_vl_video ? Alpha::white
                                                                                    : Alpha::drop;
}

ImageOptions own_options(const json& file, std::string_view where) {
  ImageOptions options;
  if (!file.is_object() || !file.contains(kOwn) || file[kOwn].is_null()) return options;
  const json& own = file[kOwn];
  require(own.is_object(), ExitCode::bad_data, "{}: key '{}': an object is expected", where, kOwn);
  std::size_t known = 0;
  ImageOptions::fields(options, [&](const char* key, auto& option) {
    if (!own.contains(key)) return;
    using Value = typename std::remove_reference_t<decltype(option)>::value_type;
    require(holds<Value>(own[key]), ExitCode::bad_data, "{}: key '{}.{}': {} is of the wrong type", where,
            kOwn, key, own[key].dump());
    option = own[key].get<Value>();
    ++known;
  });
  require(known == own.size(), ExitCode::bad_data,
          "{}: key '{}': it holds a key that data.images has not; remove it, or use a later version", where,
          kOwn);
  return options;
}

json preprocessor_file(const ImageRecipe& recipe, const DecodeOptions& decode, const json& before,
                       bool keys_of_class) {
  json file = keys_of_class ? json_of(recipe) : before.is_object() ? before : json::object();
  if (keys_of_class && before.is_object()) {
    for (const auto& [key, value] : before.items())
      if (changes_no_pixels(key) && !file.contains(key) && key != kOwn && !key.ends_with("_type"))
        file[key] = value;
  }
  file[kOwn] = own_keys(recipe, decode, keys_of_class);
  return file;
}

}  // namespace longsight::data
