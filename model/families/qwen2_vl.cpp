// Qwen2-VL and Qwen2.5-VL: images of any size as rows of patches, 2-D RoPE in the tower, M-RoPE in the
// language model, a merger of 2 x 2 patches; 2.5 with window attention, RMS norm and a gated MLP in the
// tower. Source of the structure and of the defaults: transformers 5.23, models/qwen2_vl and
// models/qwen2_5_vl.
#include "model/families/families.h"
#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

ModelConfig read_qwen2_vl(const Family& family, const Json& file, const std::string& path) {
  ModelConfig config;
  config.media_style = MediaStyle::qwen;
  ConfigReader r(file, path);
  r.assume(family.defaults);
  ConfigReader vision = r.object("vision_config");
  config.vision = read_tower(vision, {family.model_type + "_vision"}, "visual.", config.warnings);
  const VisionConfig& v = config.vision;
  // The merger's width; what the newer tower calls so is the tower's own in the older one.
  const bool newer = v.gated;
  const i64 out_width = vision.positive(newer ? "out_hidden_size" : "hidden_size");
  if (newer) config.positions_per_second = vision.number("tokens_per_second");
  vision.note_unread(config.warnings);
  // transformers 5 nests the text keys; older files have them at the top, and a few have both.
  const bool nested = r.has("text_config");
  ConfigReader text = r.object("text_config");
  config.text = read_text(nested ? text : r, text_row("qwen2_vl_text"), {.model = "model.", .head = ""},
                          config.warnings);
  if (nested) {
    text.note_unread(config.warnings);
    r.refuse_other_computations();
  }
  config.text.tied = config.text.tied || r.boolean("tie_word_embeddings");
  require(out_width == config.text.width, ExitCode::bad_data,
          "{}: the merger's width {} is not the hidden_size {} of the language model", vision.where(),
          out_width, config.text.width);
  require(!config.text.rope.sections.empty(), ExitCode::bad_data,
          "{}: rope_scaling has no mrope_section, which says how positions of images are counted", path);
  config.image_token = r.token_id({"image_token_id"}, config.text.vocab);
  config.video_token = r.token_id({"video_token_id"}, config.text.vocab);
  ConnectorConfig& c = config.connector;
  c.feature_layers = {v.layers};
  c.drop_first_row = false;
  c.row_norm = c.own_row_norm = true;
  c.middle = v.width * v.merged();
  c.row_norm_name = "visual.merger.ln_q";
  c.first_name = "visual.merger.mlp.0";
  c.second_name = "visual.merger.mlp.2";
  r.ignore({"vision_start_token_id", "vision_end_token_id", "vision_token_id", "model_type", "architectures",
            "torch_dtype", "dtype", "transformers_version", "pad_token_id", "bos_token_id", "eos_token_id",
            "_name_or_path"});
  if (!nested) r.note_unread(config.warnings);
  return config;
}

Json qwen2_vl_v5(const Family& family, const ModelConfig& c) {
  const std::string text_type = family.model_type + "_text", vision_type = family.model_type + "_vision";
  Json outer = c.source, text = part_of(c.source, "text_config");
  const bool nested = !text.empty();
  Json flat = keys_of_class(outer, text_type);
  for (const char* key : {"rope_parameters", "rope_scaling", "rope_theta"}) {
    if (outer.contains(key)) flat[key] = outer[key];
  }
  for (const auto& [key, value] : flat.items()) outer.erase(key);
  if (!nested) text = flat;
  Json config = v5_outer(outer, family.model_type, c.text);
  config["text_config"] = v5_text(text, c.text, text_type);
  if (c.text.tied) config["text_config"]["tie_word_embeddings"] = true;
  Json vision = v5_vision(part_of(c.source, "vision_config"), vision_type);
  for (const char* key : {"in_chans", "spatial_patch_size"}) vision.erase(key);
  config["vision_config"] = vision;
  return config;
}

// Names of both generations become the older: model.*, lm_head.weight, visual.*.
std::string canonical_name(const std::string& name_in_file) {
  const std::string& n = name_in_file;
  if (n.starts_with("model.language_model.")) return "model." + n.substr(21);
  if (n.starts_with("model.visual.")) return n.substr(6);
  return n;
}

// As the modules of transformers 5 are nested: model.language_model.*, model.visual.*, lm_head.
std::string memory_name(const std::string& canonical) {
  if (canonical.starts_with("model.")) return "model.language_model." + canonical.substr(6);
  return canonical.starts_with("visual.") ? "model." + canonical : canonical;
}

Family qwen2_vl_family(const std::string& type, const std::string& name) {
  return {.model_type = type,
          .architecture = name + "ForConditionalGeneration",
          .processor = name + "Processor",
          .chat = "qwen2-vl",
          .defaults = Json::parse(R"({
            "image_token_id": 151655, "video_token_id": 151656, "vision_start_token_id": 151652,
            "vision_end_token_id": 151653, "tie_word_embeddings": false})"),
          .read_config = read_qwen2_vl,
          .canonical_name = canonical_name,
          .memory_name = memory_name,
          .v5_config = qwen2_vl_v5};
}

}  // namespace

Family qwen2_vl_family() {
  return qwen2_vl_family("qwen2_vl", "Qwen2VL");
}

Family qwen2_5_vl_family() {
  return qwen2_vl_family("qwen2_5_vl", "Qwen2_5_VL");
}

}  // namespace longsight::model
