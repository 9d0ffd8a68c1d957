// InternVL as transformers computes it (InternVLForConditionalGeneration): a ViT with class token, layer
// scale and, in large ones, norms of q and k; pixel shuffle; a connector of a norm and two layers; a language
// model. Source: transformers 5.23, models/internvl. Its original files are in internvl_chat.cpp.
#include "model/families/internvl.h"

#include <cmath>

#include "model/families/families.h"
#include "model/families/llava.h"
#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"
#include "runtime/base/json.h"

namespace longsight::model {

i64 internvl_merge(ConfigReader& r) {
  const double ratio = r.number("downsample_ratio");
  require(ratio > 0 && ratio <= 1, ExitCode::bad_data, "{}: downsample_ratio = {} must be in (0, 1]",
          r.where(), ratio);
  const i64 merge = static_cast<i64>(std::lround(1 / ratio));
  require(std::abs(ratio * static_cast<double>(merge) - 1) < 1e-9, ExitCode::bad_data,
          "{}: downsample_ratio = {} is not one over a whole number", r.where(), ratio);
  return merge;
}

void check_internvl_merge(ConfigReader& r, const VisionConfig& v) {
  require(v.image_size % v.patch == 0 && v.grid() % v.merge == 0, ExitCode::bad_data,
          "{}: {} pixels in patches of {} are not whole blocks of {} x {} patches", r.where(), v.image_size,
          v.patch, v.merge, v.merge);
}

namespace {

ModelConfig read_internvl(const Family& family, const Json& file, const std::string& path) {
  ModelConfig config;
  config.media_style = MediaStyle::internvl;
  ConfigReader r(file, path);
  r.assume(family.defaults);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("text_config");
  config.vision = read_tower(vision, {"internvl_vision"}, "vision_tower.", config.warnings);
  vision.note_unread(config.warnings);
  VisionConfig& v = config.vision;
  v.merge = internvl_merge(r);
  check_internvl_merge(r, v);
  config.text = read_text(text, text_inside(text, "qwen2", "InternVL"), {}, config.warnings);
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings");
  config.image_token = r.token_id({"image_token_id"}, config.text.vocab);
  ConnectorConfig& c = config.connector;
  const i64 layer = r.integer("vision_feature_layer");
  c.feature_layers = {hidden_state_index(layer, v.layers, path + ": vision_feature_layer")};
  r.refuse_unless("vision_feature_select_strategy", "default",
                  "pixel shuffle needs the patches without class token");
  // The norm behind the tower counts for its last output only.
  c.row_norm = v.post_norm && layer == -1;
  c.row_norm_eps = v.eps;
  c.joined_norm = true;
  c.middle = config.text.width;
  c.activation = ops::activation_from_hf(r.text("projector_hidden_act"), path + ": projector_hidden_act");
  c.joined_norm_name = "multi_modal_projector.layer_norm";
  c.first_name = "multi_modal_projector.linear_1";
  c.second_name = "multi_modal_projector.linear_2";
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "image_seq_length",
            "pad_token_id", "bos_token_id", "eos_token_id", "_name_or_path"});
  r.note_unread(config.warnings);
  return config;
}

Json internvl_v5(const Family& family, const ModelConfig& c) {
  Json config = v5_outer(c.source, family.model_type, c.text);
  Json vision = v5_vision(part_of(c.source, "vision_config"), "internvl_vision");
  vision["image_size"] = {c.vision.image_size, c.vision.image_size};
  vision["patch_size"] = {c.vision.patch, c.vision.patch};
  config["vision_config"] = vision;
  const Json text = part_of(c.source, "text_config");
  config["text_config"] = v5_text(text, c.text, text.value("model_type", "qwen2"));
  return config;
}

}  // namespace

Family internvl_family() {
  return {.model_type = "internvl",
          .architecture = "InternVLForConditionalGeneration",
          .processor = "InternVLProcessor",
          .chat = "internvl",
          .defaults = Json::parse(R"({
            "image_token_id": 151667, "image_seq_length": 256, "downsample_ratio": 0.5,
            "projector_hidden_act": "gelu", "vision_feature_layer": -1,
            "vision_feature_select_strategy": "default", "tie_word_embeddings": true})"),
          .read_config = read_internvl,
          .canonical_name = canonical_outer_name,
          .memory_name = memory_llava_name,
          .v5_config = internvl_v5};
}

}  // namespace longsight::model
