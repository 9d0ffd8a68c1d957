#include "model/families/internvl.h"

#include <cmath>

#include "model/families/text_models.h"
#include "model/families/v5_config.h"

namespace longsight::model {

using nlohmann::json;

i64 internvl_merge(ConfigReader& r) {
  const double ratio = r.number("downsample_ratio", 0.5);
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

VisionConfig read_internvl_blocks(ConfigReader& r, const TowerDefaults& defaults, const char* norm_type) {
  VisionConfig v = read_sizes(r, defaults);
  v.pre_norm = false;
  v.patch_bias = true;
  v.layer_scale = true;
  v.batched_embeddings = true;
  v.activation = ops::activation_from_hf(r.text("hidden_act", "gelu"), r.where() + ": hidden_act");
  v.eps = r.number("layer_norm_eps", 1e-6);
  const std::string norm = r.text("norm_type", norm_type);
  require(norm == "layer_norm" || norm == "rms_norm", ExitCode::bad_data,
          "{}: norm_type \"{}\" is neither layer_norm nor rms_norm", r.where(), norm);
  v.rms = norm == "rms_norm";
  return v;
}

namespace {

VisionConfig read_tower(ConfigReader& r, std::vector<std::string>& warnings) {
  const std::string type = r.text("model_type", "internvl_vision");
  require(type == "internvl_vision", ExitCode::bad_data,
          "{}: model_type \"{}\" is not supported (internvl_vision is)", r.where(), type);
  VisionConfig v = read_internvl_blocks(r, {1024, 4096, 24, 16, 448, 14}, "layer_norm");
  v.qkv_bias = r.boolean("attention_bias", false);
  v.qk_norm = r.boolean("use_qk_norm", false);
  v.layer_scale_init = r.number("layer_scale_init_value", 0.1);
  v.post_norm = !r.boolean("use_mean_pooling", true);
  if (!r.boolean("use_absolute_position_embeddings", true)) v.positions = VisionConfig::Positions::none;
  r.refuse_unless("use_mask_token", false, "masked image modelling is not trained here");
  for (const char* rate : {"hidden_dropout_prob", "attention_dropout", "projection_dropout"})
    r.note_dropout(rate, warnings);
  r.ignore({"torch_dtype", "dtype", "architectures", "transformers_version", "_name_or_path"});
  v.names = {.root = "vision_tower.",
             .class_row = "embeddings.cls_token",
             .patch = "embeddings.patch_embeddings.projection",
             .position = "embeddings.position_embeddings",
             .pre_norm = "",
             .post_norm = "layernorm",
             .blocks = "encoder.layer",
             .block = {.attention_norm = "layernorm_before",
                       .qkv = "",
                       .q = "attention.q_proj",
                       .k = "attention.k_proj",
                       .v = "attention.v_proj",
                       .q_norm = "attention.q_norm",
                       .k_norm = "attention.k_norm",
                       .out = "attention.projection_layer",
                       .attention_scale = "lambda_1",
                       .mlp_norm = "layernorm_after",
                       .gate = "",
                       .up = "mlp.fc1",
                       .down = "mlp.fc2",
                       .mlp_scale = "lambda_2"}};
  check_tower(r, v);
  r.note_unread(warnings);
  return v;
}

}  // namespace

ModelConfig read_internvl_config(const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  config.media_style = MediaStyle::internvl;
  ConfigReader r(file, path);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("text_config");
  config.vision = read_tower(vision, config.warnings);
  VisionConfig& v = config.vision;
  v.merge = internvl_merge(r);
  check_internvl_merge(r, v);
  const TextKind kind = text_kind(text, TextKind::qwen2);
  config.text = read_text(text, kind, "language_model.model", "language_model.lm_head", config.warnings);
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings", true);
  config.image_token = r.token_id({"image_token_id"}, 151667, config.text.vocab);
  ConnectorConfig& c = config.connector;
  const i64 layer = r.integer("vision_feature_layer", -1);
  c.feature_layers = {hidden_state_index(layer, v.layers, path + ": vision_feature_layer")};
  r.refuse_unless("vision_feature_select_strategy", "default",
                  "pixel shuffle needs the patches without class token");
  // The norm behind the tower counts for its last output only.
  c.row_norm = v.post_norm && layer == -1;
  c.row_norm_eps = v.eps;
  c.joined_norm = true;
  c.middle = config.text.width;
  c.activation =
      ops::activation_from_hf(r.text("projector_hidden_act", "gelu"), path + ": projector_hidden_act");
  c.joined_norm_name = "multi_modal_projector.layer_norm";
  c.first_name = "multi_modal_projector.linear_1";
  c.second_name = "multi_modal_projector.linear_2";
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "image_seq_length",
            "pad_token_id", "bos_token_id", "eos_token_id", "_name_or_path"});
  r.note_unread(config.warnings);
  return config;
}

json v5_internvl_config(const ModelConfig& c) {
  json config = v5_outer(c.source, "internvl", c.text);
  json vision = v5_vision(part_of(c.source, "vision_config"), "internvl_vision");
  vision["image_size"] = {c.vision.image_size, c.vision.image_size};
  vision["patch_size"] = {c.vision.patch, c.vision.patch};
  config["vision_config"] = vision;
  const json text = part_of(c.source, "text_config");
  config["text_config"] = v5_text(text, c.text, text.value("model_type", "qwen2"));
  return config;
}

}  // namespace longsight::model
