#include "model/families/qwen2_vl.h"

#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"

namespace longsight::model {
namespace {

using nlohmann::json;

// What both towers have in common. `width_key` names the width of the tower.
VisionConfig read_tower(ConfigReader& r, const char* width_key, i64 default_width) {
  VisionConfig v;
  v.width = r.positive(width_key, default_width);
  v.layers = r.positive("depth", 32);
  v.heads = r.positive("num_heads", 16);
  v.patch = r.positive("patch_size", 14);
  v.merge = r.positive("spatial_merge_size", 2);
  v.temporal = r.positive("temporal_patch_size", 2);
  v.eps = 1e-6;
  v.class_row = false;
  v.pre_norm = false;
  v.post_norm = false;
  v.positions = VisionConfig::Positions::none;
  v.rope = true;
  v.initializer_range = r.number("initializer_range", 0.02);
  r.refuse_unless("in_channels", 3, "pictures have three channels");
  ConfigReader rope = r.object("rope_parameters");  // as transformers 5 writes it
  rope.refuse_unless("rope_theta", 10000, "the tower's rotary embedding has base 10000");
  const std::string type = rope.text("rope_type", "axial");
  require(type == "axial" || type == "default", ExitCode::bad_data,
          "{}: rope_type \"{}\" is not supported: patches turn by row and column", rope.where(), type);
  // in_chans is what old files call it, and what the class does not read.
  r.ignore({"in_chans", "spatial_patch_size", "torch_dtype", "dtype", "architectures", "transformers_version",
            "_name_or_path", "model_type"});
  v.names = {.root = "visual.",
             .class_row = "",
             .patch = "patch_embed.proj",
             .position = "",
             .pre_norm = "",
             .post_norm = "",
             .blocks = "blocks",
             .block = {.attention_norm = "norm1",
                       .qkv = "attn.qkv",
                       .q = "",
                       .k = "",
                       .v = "",
                       .q_norm = "",
                       .k_norm = "",
                       .out = "attn.proj",
                       .attention_scale = "",
                       .mlp_norm = "norm2",
                       .gate = "",
                       .up = "mlp.fc1",
                       .down = "mlp.fc2",
                       .mlp_scale = ""}};
  check_tower(r, v);
  require(v.head_width() % 4 == 0, ExitCode::bad_data,
          "{}: heads of {} channels cannot be turned by row and column: a multiple of 4 is needed", r.where(),
          v.head_width());
  return v;
}

VisionConfig read_2_tower(ConfigReader& r, i64& out_width, std::vector<std::string>& warnings) {
  VisionConfig v = read_tower(r, "embed_dim", 1280);
  const double ratio = r.number("mlp_ratio", 4);
  v.intermediate = static_cast<i64>(static_cast<double>(v.width) * ratio);
  v.activation = ops::activation_from_hf(r.text("hidden_act", "quick_gelu"), r.where() + ": hidden_act");
  out_width = r.positive("hidden_size", 3584);
  r.note_unread(warnings);
  return v;
}

VisionConfig read_2_5_tower(ConfigReader& r, i64& out_width) {
  VisionConfig v = read_tower(r, "hidden_size", 3584);
  v.intermediate = r.positive("intermediate_size", 3420);
  v.activation = ops::activation_from_hf(r.text("hidden_act", "silu"), r.where() + ": hidden_act");
  v.rms = true;
  v.gated = true;
  v.names.block.gate = "mlp.gate_proj";
  v.names.block.up = "mlp.up_proj";
  v.names.block.down = "mlp.down_proj";
  v.window = r.positive("window_size", 112) / v.merge / v.patch;
  require(v.window > 0, ExitCode::bad_data,
          "{}: window_size is smaller than a block of {} x {} patches of {}", r.where(), v.merge, v.merge,
          v.patch);
  v.full_blocks = {7, 15, 23, 31};
  if (const nlohmann::json* full = r.raw("fullatt_block_indexes")) {
    v.full_blocks.clear();
    for (const nlohmann::json& block : full->is_array() ? *full : nlohmann::json::array({*full})) {
      require(block.is_number_integer(), ExitCode::bad_data,
              "{}: fullatt_block_indexes {} is not a list of integers", r.where(), full->dump());
      v.full_blocks.push_back(block.get<i64>());
    }
  }
  out_width = r.positive("out_hidden_size", 3584);
  return v;
}

ModelConfig read(const nlohmann::json& file, const std::string& path, bool newer) {
  ModelConfig config;
  config.media_style = MediaStyle::qwen;
  ConfigReader r(file, path);
  ConfigReader vision = r.object("vision_config");
  i64 out_width = 0;
  if (newer) {
    config.vision = read_2_5_tower(vision, out_width);
    config.positions_per_second = vision.number("tokens_per_second", 4);
    vision.note_unread(config.warnings);
  } else {
    config.vision = read_2_tower(vision, out_width, config.warnings);
  }
  const VisionConfig& v = config.vision;
  // transformers 5 nests the text keys; older files have them at the top, and a few have both.
  const bool nested = r.has("text_config");
  ConfigReader text = r.object("text_config");
  config.text = read_text(nested ? text : r, TextKind::qwen2_vl, "model", "lm_head", config.warnings);
  if (nested) text.note_unread(config.warnings);
  config.text.tied = config.text.tied || r.boolean("tie_word_embeddings", false);
  require(out_width == config.text.width, ExitCode::bad_data,
          "{}: the merger's width {} is not the hidden_size {} of the language model", vision.where(),
          out_width, config.text.width);
  require(!config.text.rope.sections.empty(), ExitCode::bad_data,
          "{}: rope_scaling has no mrope_section, which says how positions of images are counted", path);
  config.image_token = r.token_id({"image_token_id"}, 151655, config.text.vocab);
  config.video_token = r.token_id({"video_token_id"}, 151656, config.text.vocab);
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

}  // namespace

ModelConfig read_qwen2_vl_config(const nlohmann::json& file, const std::string& path) {
  return read(file, path, false);
}

ModelConfig read_qwen2_5_vl_config(const nlohmann::json& file, const std::string& path) {
  return read(file, path, true);
}

json v5_qwen2_vl_config(const ModelConfig& c) {
  const std::string text_type = c.family + "_text", vision_type = c.family + "_vision";
  json outer = c.source, text = part_of(c.source, "text_config");
  const bool nested = !text.empty();
  json flat = keys_of_class(outer, text_type);
  for (const char* key : {"rope_parameters", "rope_scaling", "rope_theta"}) {
    if (outer.contains(key)) flat[key] = outer[key];
  }
  for (const auto& [key, value] : flat.items()) outer.erase(key);
  if (!nested) text = flat;
  json config = v5_outer(outer, c.family, c.text);
  config["text_config"] = v5_text(text, c.text, text_type);
  if (c.text.tied) config["text_config"]["tie_word_embeddings"] = true;
  json vision = v5_vision(part_of(c.source, "vision_config"), vision_type);
  for (const char* key : {"in_chans", "spatial_patch_size"}) vision.erase(key);
  config["vision_config"] = vision;
  return config;
}

std::string canonical_qwen2_vl_name(const std::string& name_in_file) {
  const std::string& n = name_in_file;
  if (n.starts_with("model.language_model.")) return "model." + n.substr(21);
  if (n.starts_with("model.visual.")) return n.substr(6);
  return n;
}

std::string memory_qwen2_vl_name(const std::string& canonical) {
  if (canonical.starts_with("model.")) return "model.language_model." + canonical.substr(6);
  return canonical.starts_with("visual.") ? "model." + canonical : canonical;
}

}  // namespace longsight::model
