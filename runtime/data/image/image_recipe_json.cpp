// preprocessor_config.json to ImageRecipe and back: the keys that all processors have.
#include "runtime/data/image/image_kinds.h"

namespace longsight::data {
namespace {

using nlohmann::json;
using Processor = ImageRecipe::Processor;

// The functions of one kind of processor.
struct ProcessorKind {
  void (*set_defaults)(ImageRecipe&);
  void (*read_keys)(const RecipeReader&, ImageRecipe&);
  void (*write_keys)(const ImageRecipe&, json&);
};

ProcessorKind kind_of(Processor processor) {
  switch (processor) {
    case Processor::clip:
    case Processor::llava:
    case Processor::siglip:
      return {set_clip_defaults, read_clip_keys, write_clip_keys};
    case Processor::got_ocr2:
      return {set_got_ocr2_defaults, read_got_ocr2_keys, write_got_ocr2_keys};
    case Processor::qwen2_vl:
    case Processor::qwen2_vl_video:
      return {set_qwen2_vl_defaults, read_qwen2_vl_keys, write_qwen2_vl_keys};
    case Processor::idefics3:
    case Processor::smolvlm:
      return {set_idefics3_defaults, read_idefics3_keys, write_idefics3_keys};
  }
  check(false, "no processor number {}", static_cast<int>(processor));
  return {};
}

constexpr Processor kImageProcessors[] = {Processor::clip,     Processor::llava,    Processor::siglip,
                                          Processor::got_ocr2, Processor::qwen2_vl, Processor::idefics3,
                                          Processor::smolvlm};

// Without what tells versions of one class apart: old files say CLIPFeatureExtractor, fast processors
// CLIPImageProcessorFast; the first Qwen2.5-VL files have a class of their own.
std::string plain_name(std::string name) {
  if (const auto at = name.find("FeatureExtractor"); at != std::string::npos)
    name.replace(at, 16, "ImageProcessor");
  for (const std::string_view suffix : {"Fast", "Pil"}) {
    if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
  }
  return name == "Qwen2_5_VLImageProcessor" ? "Qwen2VLImageProcessor" : name;
}

// The value of the first of these keys that is there.
std::string class_name(const RecipeReader& reader, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const json* value = reader.find(key);
    if (value == nullptr) continue;
    if (!value->is_string()) reader.refuse(key, "{} is not a name", value->dump());
    return value->get<std::string>();
  }
  reader.refuse(*keys.begin(), "it is missing");
}

Processor image_processor(const RecipeReader& reader) {
  const std::string given = class_name(reader, {"image_processor_type", "feature_extractor_type"});
  std::string known;
  for (const Processor p : kImageProcessors) {
    if (plain_name(given) == name_of(p)) return p;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", name_of(p));
  }
  reader.refuse("image_processor_type", "image processor \"{}\" is not supported; known are {}", given,
                known);
}

Resample resample_of(const RecipeReader& reader, Resample otherwise) {
  const json* value = reader.find("resample");
  if (value == nullptr) return otherwise;
  for (const Resample r : {Resample::lanczos, Resample::bilinear, Resample::bicubic}) {
    if (*value == static_cast<int>(r)) return r;
  }
  reader.refuse("resample", "filter {} is not supported; known are 1 (Lanczos), 2 (bilinear), 3 (bicubic)",
                value->dump());
}

ImageRecipe recipe_of(Processor processor, const RecipeReader& reader) {
  ImageRecipe recipe{.processor = processor};
  const ProcessorKind kind = kind_of(processor);
  kind.set_defaults(recipe);
  recipe.resample = resample_of(reader, recipe.resample);
  recipe.rescale = reader.boolean("do_rescale", true);
  recipe.rescale_factor = reader.number("rescale_factor", recipe.rescale_factor);
  recipe.normalize = reader.boolean("do_normalize", true);
  recipe.mean = reader.three("image_mean", recipe.mean);
  recipe.std = reader.three("image_std", recipe.std);
  for (const double s : recipe.std) {
    if (static_cast<float>(s) == 0) reader.refuse("image_std", "it must not be 0");
  }
  recipe.convert_rgb = reader.boolean("do_convert_rgb", true);
  if (const json* format = reader.find("data_format"); format != nullptr && *format != "channels_first") {
    reader.refuse("data_format", "{}; pixel values are made \"channels_first\" only", format->dump());
  }
  kind.read_keys(reader, recipe);
  reader.refuse_other_keys();
  return recipe;
}

void require_object(const json& object, std::string_view where) {
  require(object.is_object(), ExitCode::bad_data, "{}: a JSON object is expected", where);
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
    case Processor::got_ocr2:
      return "GotOcr2ImageProcessor";
    case Processor::qwen2_vl:
      return "Qwen2VLImageProcessor";
    case Processor::qwen2_vl_video:
      return "Qwen2VLVideoProcessor";
    case Processor::idefics3:
      return "Idefics3ImageProcessor";
    case Processor::smolvlm:
      return "SmolVLMImageProcessor";
  }
  return "";
}

ImageRecipe image_recipe_from_json(const json& object, std::string_view where) {
  require_object(object, where);
  const RecipeReader reader(object, where);
  return recipe_of(image_processor(reader), reader);
}

ImageRecipe video_recipe_from_json(const json& object, std::string_view where) {
  require_object(object, where);
  const RecipeReader reader(object, where);
  const std::string given = class_name(reader, {"video_processor_type", "image_processor_type"});
  const std::string name = plain_name(given);
  if (name != name_of(Processor::qwen2_vl_video) && name != name_of(Processor::qwen2_vl)) {
    reader.refuse("video_processor_type",
                  "video processor \"{}\" is not supported; known is Qwen2VLVideoProcessor", given);
  }
  return recipe_of(Processor::qwen2_vl_video, reader);
}

json json_of(const ImageRecipe& recipe) {
  json object{
      {recipe.is_video() ? "video_processor_type" : "image_processor_type", name_of(recipe.processor)},
      {"resample", static_cast<int>(recipe.resample)},
      {"do_rescale", recipe.rescale},
      {"rescale_factor", recipe.rescale_factor},
      {"do_normalize", recipe.normalize},
      {"image_mean", recipe.mean},
      {"image_std", recipe.std},
      {"do_convert_rgb", recipe.convert_rgb},
  };
  kind_of(recipe.processor).write_keys(recipe, object);
  return object;
}

}  // namespace longsight::data
