#include "model/families/internvl_chat.h"

#include <filesystem>

#include "model/families/internvl.h"
#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

using nlohmann::json;

VisionConfig read_original_tower(ConfigReader& r, std::vector<std::string>& warnings) {
  const std::string type = r.text("model_type", "intern_vit_6b");
  require(type == "intern_vit_6b", ExitCode::bad_data,
          "{}: model_type \"{}\" is not supported (intern_vit_6b is)", r.where(), type);
  VisionConfig v = read_internvl_blocks(r, {3200, 12800, 48, 25, 224, 14}, "rms_norm");
  v.qkv_bias = r.boolean("qkv_bias", false);
  v.qk_norm = r.boolean("qk_normalization", true);
  v.qk_eps = v.eps;
  v.layer_scale_init = r.number("initializer_factor", 0.1);
  v.post_norm = false;
  for (const char* rate : {"attention_dropout", "dropout", "drop_path_rate"}) r.note_dropout(rate, warnings);
  r.ignore({"torch_dtype", "dtype", "architectures", "transformers_version", "_name_or_path",
            "use_flash_attn", "auto_map"});
  v.names = {.root = "vision_model.",
             .class_row = "embeddings.class_embedding",
             .patch = "embeddings.patch_embedding",
             .position = "embeddings.position_embedding",
             .pre_norm = "",
             .post_norm = "",
             .blocks = "encoder.layers",
             .block = {.attention_norm = "norm1",
                       .qkv = "attn.qkv",
                       .q = "",
                       .k = "",
                       .v = "",
                       .q_norm = "attn.q_norm",
                       .k_norm = "attn.k_norm",
                       .out = "attn.proj",
                       .attention_scale = "ls1",
                       .mlp_norm = "norm2",
                       .gate = "",
                       .up = "mlp.fc1",
                       .down = "mlp.fc2",
                       .mlp_scale = "ls2"}};
  check_tower(r, v);
  r.note_unread(warnings);
  return v;
}

// The language model of the original files, by its architecture.
TextKind original_text_kind(ConfigReader& r) {
  const nlohmann::json* architectures = r.raw("architectures");
  const std::string name = architectures != nullptr && architectures->is_array() && !architectures->empty() &&
                                   architectures->front().is_string()
                               ? architectures->front().get<std::string>()
                               : "LlamaForCausalLM";
  if (name == "LlamaForCausalLM") return TextKind::llama;
  if (name == "InternLM2ForCausalLM") return TextKind::internlm2;
  if (name == "Qwen2ForCausalLM") return TextKind::qwen2;
  fail(ExitCode::bad_data,
       "{}: architecture {} is not supported (LlamaForCausalLM, InternLM2ForCausalLM and Qwen2ForCausalLM "
       "are)",
       r.where(), name);
}

// The id of an added token in the tokenizer files of a folder; -1: no file names it.
i64 added_token(const std::string& folder, const std::string& content) {
  namespace fs = std::filesystem;
  if (const std::string path = folder + "/tokenizer.json"; fs::exists(path)) {
    const nlohmann::json file = read_json_file(path);
    for (const nlohmann::json& token : file.value("added_tokens", nlohmann::json::array())) {
      if (token.is_object() && token.value("content", nlohmann::json()) == content && token.contains("id") &&
          token["id"].is_number_integer())
        return token["id"].get<i64>();
    }
  }
  if (const std::string path = folder + "/added_tokens.json"; fs::exists(path)) {
    const nlohmann::json file = read_json_file(path);
    if (file.is_object() && file.contains(content) && file[content].is_number_integer())
      return file[content].get<i64>();
  }
  return -1;
}

}  // namespace

void complete_internvl_chat(ModelConfig& config, const std::string& folder) {
  if (config.image_token < 0) config.image_token = added_token(folder, "<IMG_CONTEXT>");
  const i64 published = config.text.interleaved_qkv ? 92546 : 151667;
  if (config.image_token < 0 && published < config.text.vocab) config.image_token = published;
  require(config.image_token < config.text.vocab, ExitCode::bad_data,
          "{}: the image token {} is outside the vocabulary of {}", folder, config.image_token,
          config.text.vocab);
}

ModelConfig read_internvl_chat_config(const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  config.media_style = MediaStyle::internvl;
  ConfigReader r(file, path);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("llm_config");
  config.vision = read_original_tower(vision, config.warnings);
  VisionConfig& v = config.vision;
  v.merge = internvl_merge(r);
  const i64 forced = r.positive("force_image_size", v.image_size);
  require(forced == v.image_size, ExitCode::bad_data,
          "{}: force_image_size {} is not the image_size {} of vision_config: positions are not stretched",
          path, forced, v.image_size);
  check_internvl_merge(r, v);
  const TextKind kind = original_text_kind(text);
  const bool internlm = kind == TextKind::internlm2;
  config.text = read_text(text, kind, "language_model.model",
                          internlm ? "language_model.output" : "language_model.lm_head", config.warnings);
  text.note_unread(config.warnings);
  config.text.tied = config.text.tied || r.boolean("tie_word_embeddings", false);
  // The file does not name it; these are the ids that the tokenizers have.
  config.image_token = r.integer("img_context_token_id", -1);
  ConnectorConfig& c = config.connector;
  c.feature_layers = {hidden_state_index(r.integer("select_layer", -1), v.layers, path + ": select_layer")};
  const std::string version = r.text("ps_version", "v1");
  require(version == "v1" || version == "v2", ExitCode::bad_data,
          "{}: ps_version \"{}\" is neither v1 nor v2", path, version);
  c.blocks_by_column = version == "v1";
  c.joined_norm = true;
  c.middle = config.text.width;
  c.joined_norm_name = "mlp1.0";
  c.first_name = "mlp1.1";
  c.second_name = "mlp1.3";
  r.refuse_unless("use_backbone_lora", 0, "merge the adapters into the weights first");
  r.refuse_unless("use_llm_lora", 0, "merge the adapters into the weights first");
  r.refuse_unless("pad2square", false, "images are tiled, not padded");
  r.ignore({"model_type", "architectures", "auto_map", "torch_dtype", "dtype", "transformers_version",
            "_name_or_path", "_commit_hash", "dynamic_image_size", "max_dynamic_patch", "min_dynamic_patch",
            "template", "use_thumbnail", "hidden_size", "pad_token_id", "bos_token_id", "eos_token_id",
            "system_message"});
  r.note_unread(config.warnings);
  return config;
}

namespace {

// A parameter, or its three parts where it joins q, k and v: {} in `name` stands for the part.
std::vector<FileTensor> q_k_v(const std::string& name, i64 q_rows, i64 kv_rows) {
  const auto part = [&](const char* letter) {
    std::string own = name;
    return own.replace(own.find("{}"), 2, letter);
  };
  return {{part("q"), 0, q_rows}, {part("k"), q_rows, kv_rows}, {part("v"), q_rows + kv_rows, kv_rows}};
}

// What of a block's tensors has another name there; the number of the block is kept.
using Renamed = std::vector<std::pair<std::string, std::string>>;

std::string renamed(std::string name, const Renamed& words) {
  for (const auto& [from, to] : words) {
    const std::size_t at = name.find(from);
    if (at == std::string::npos) continue;
    name.replace(at, from.size(), to);
    return name;
  }
  return name;
}

std::vector<FileTensor> v5_original_tower(const VisionConfig& v, const std::string& name) {
  static const Renamed kOutside{
      {"vision_model.encoder.layers.", "vision_tower.encoder.layer."},
      {"vision_model.embeddings.class_embedding", "vision_tower.embeddings.cls_token"},
      {"vision_model.embeddings.position_embedding", "vision_tower.embeddings.position_embeddings"},
      {"vision_model.embeddings.patch_embedding.", "vision_tower.embeddings.patch_embeddings.projection."}};
  static const Renamed kInside{
      {".norm1.", ".layernorm_before."},       {".norm2.", ".layernorm_after."},
      {".attn.qkv.", ".attention.{}_proj."},   {".attn.proj.", ".attention.projection_layer."},
      {".attn.q_norm.", ".attention.q_norm."}, {".attn.k_norm.", ".attention.k_norm."}};
  std::string own = renamed(renamed(name, kOutside), kInside);
  if (own.ends_with(".ls1")) own.replace(own.size() - 3, 3, "lambda_1");
  if (own.ends_with(".ls2")) own.replace(own.size() - 3, 3, "lambda_2");
  if (own.find("{}") != std::string::npos) return q_k_v(own, v.width, v.width);
  return {{.name = own}};
}

std::vector<FileTensor> v5_original_language(const TextConfig& t, const std::string& name) {
  static const Renamed kInternlm2{
      {".tok_embeddings.", ".embed_tokens."},      {"language_model.output.", "language_model.lm_head."},
      {".attention_norm.", ".input_layernorm."},   {".ffn_norm.", ".post_attention_layernorm."},
      {".attention.wqkv.", ".self_attn.{}_proj."}, {".attention.wo.", ".self_attn.o_proj."},
      {".feed_forward.w1.", ".mlp.gate_proj."},    {".feed_forward.w3.", ".mlp.up_proj."},
      {".feed_forward.w2.", ".mlp.down_proj."}};
  if (!t.interleaved_qkv) return {{.name = name}};
  const std::string own = renamed(name, kInternlm2);
  if (own.find("{}") == std::string::npos) return {{.name = own}};
  return q_k_v(own, t.heads * t.head_width, t.kv_heads * t.head_width);
}

}  // namespace

std::vector<FileTensor> v5_internvl_chat_tensors(const ModelConfig& c, const Parameter& parameter) {
  const std::string& name = parameter.name;
  if (parameter.part == "language") return v5_original_language(c.text, name);
  if (parameter.part == "vision") return v5_original_tower(c.vision, name);
  for (const auto& [original, own] : {std::pair("mlp1.0.", "multi_modal_projector.layer_norm."),
                                      std::pair("mlp1.1.", "multi_modal_projector.linear_1."),
                                      std::pair("mlp1.3.", "multi_modal_projector.linear_2.")}) {
    if (name.starts_with(original)) return {{.name = own + name.substr(std::string_view(original).size())}};
  }
  fail(ExitCode::internal, "no tensor {} in a connector of InternVL", name);
}

json v5_internvl_chat_config(const ModelConfig& c) {
  const json source_vision = part_of(c.source, "vision_config"),
             source_text = part_of(c.source, "llm_config");
  require(!c.connector.blocks_by_column, ExitCode::usage,
          "--hf-names v5: ps_version v1 runs through the image column by column, which "
          "InternVLForConditionalGeneration cannot; export with the original names");
  require(!c.vision.qk_norm || c.vision.qk_eps == 1e-6, ExitCode::usage,
          "--hf-names v5: layer_norm_eps {} of the norms of q and k is 1e-6 in "
          "InternVLForConditionalGeneration; export with the original names",
          c.vision.qk_eps);
  json config = v5_outer(json::object(), "internvl", c.text);
  config["image_token_id"] = c.image_token;
  config["image_seq_length"] = c.features_per_tile(c.tile_layout());
  config["downsample_ratio"] = 1.0 / static_cast<double>(c.vision.merge);
  config["vision_feature_layer"] = c.source.value("select_layer", json(-1));

  json vision = v5_vision(keys_of_class(source_vision, "internvl_vision"), "internvl_vision");
  vision["hidden_size"] = c.vision.width;
  vision["intermediate_size"] = c.vision.intermediate;
  vision["num_hidden_layers"] = c.vision.layers;
  vision["num_attention_heads"] = c.vision.heads;
  vision["image_size"] = {c.vision.image_size, c.vision.image_size};
  vision["patch_size"] = {c.vision.patch, c.vision.patch};
  vision["attention_bias"] = c.vision.qkv_bias;
  vision["use_qk_norm"] = c.vision.qk_norm;
  vision["norm_type"] = c.vision.rms ? "rms_norm" : "layer_norm";
  vision["hidden_dropout_prob"] = source_vision.value("dropout", json(0.0));
  config["vision_config"] = vision;

  ConfigReader reader(source_text, "llm_config");
  const char* type = original_text_kind(reader) == TextKind::qwen2 ? "qwen2" : "llama";
  json text = keys_of_class(source_text, type);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (source_text.contains(key)) text[key] = source_text[key];
  }
  text = v5_text(text, c.text, type);
  text["vocab_size"] = c.text.vocab;
  if (type == std::string_view("llama")) {
    text["attention_bias"] = c.text.qkv_bias;
    text["mlp_bias"] = c.text.mlp_bias;
  }
  config["text_config"] = text;
  return config;
}

json v5_internvl_chat_processor(const ModelConfig& c, const json& preprocessor) {
  const i64 edge = c.vision.image_size;
  json image{{"image_processor_type", "GotOcr2ImageProcessor"},
             {"do_convert_rgb", true},
             {"do_resize", true},
             {"do_rescale", true},
             {"rescale_factor", 1.0 / 255},
             {"do_normalize", true},
             {"resample", 3},
             {"size", {{"height", edge}, {"width", edge}}},
             {"crop_to_patches", true},
             {"min_patches", c.source.value("min_dynamic_patch", json(1))},
             {"max_patches", c.source.value("max_dynamic_patch", json(6))}};
  for (const char* key : {"image_mean", "image_std"}) {
    if (preprocessor.contains(key)) image[key] = preprocessor[key];
  }
  return {{"image_processor", image},
          {"image_seq_length", c.features_per_tile(c.tile_layout())},
          {"processor_class", "InternVLProcessor"}};
}

}  // namespace longsight::model
