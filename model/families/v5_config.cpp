#include "model/families/v5_config.h"

#include <initializer_list>
#include <map>

namespace longsight::model {
namespace {

using nlohmann::json;

// Keys of each class with their defaults. Sizes that a class derives from others are null here.
const std::map<std::string, json>& classes() {
  static const std::map<std::string, json> all = [] {
    const json llama = json::parse(R"({
      "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": null, "hidden_act": "silu", "max_position_embeddings": 2048, "initializer_range": 0.02,
      "rms_norm_eps": 1e-06, "use_cache": true, "pad_token_id": null, "bos_token_id": 1, "eos_token_id": 2, "pretraining_tp": 1,
      "tie_word_embeddings": false, "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false, "head_dim": null})");
    const json mistral = json::parse(R"({
      "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "head_dim": null, "hidden_act": "silu", "max_position_embeddings": 131072, "initializer_range": 0.02,
      "rms_norm_eps": 1e-06, "use_cache": true, "pad_token_id": null, "bos_token_id": 1, "eos_token_id": 2,
      "tie_word_embeddings": false, "sliding_window": 4096, "attention_dropout": 0.0})");
    const json qwen2 = json::parse(R"({
      "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768, "initializer_range": 0.02,
      "rms_norm_eps": 1e-06, "use_cache": true, "tie_word_embeddings": false, "use_sliding_window": false, "sliding_window": 4096,
      "max_window_layers": 28, "layer_types": null, "attention_dropout": 0.0, "pad_token_id": null, "bos_token_id": null,
      "eos_token_id": null})");
    const json qwen2_vl_text = json::parse(R"({
      "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80, "num_attention_heads": 64,
      "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "initializer_range": 0.02,
      "rms_norm_eps": 1e-05, "use_cache": true, "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 80,
      "layer_types": null, "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "pad_token_id": null})");
    const json gemma = json::parse(R"({
      "vocab_size": 256000, "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28, "num_attention_heads": 16,
      "num_key_value_heads": 16, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "max_position_embeddings": 8192,
      "initializer_range": 0.02, "rms_norm_eps": 1e-06, "use_cache": true, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
      "tie_word_embeddings": true, "attention_bias": false, "attention_dropout": 0.0, "use_bidirectional_attention": null})");
    const json clip = json::parse(R"({
      "hidden_size": 768, "intermediate_size": 3072, "projection_dim": 512, "num_hidden_layers": 12, "num_attention_heads": 12,
      "num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05,
      "attention_dropout": 0.0, "initializer_range": 0.02, "initializer_factor": 1.0})");
    const json siglip = json::parse(R"({
      "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "num_channels": 3,
      "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-06, "attention_dropout": 0.0,
      "vision_use_head": true})");
    const json internvl = json::parse(R"({
      "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "attention_bias": false, "use_qk_norm": false,
      "intermediate_size": 4096, "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "attention_dropout": 0.0,
      "projection_dropout": 0.0, "initializer_range": 0.02, "norm_type": "layer_norm", "layer_norm_eps": 1e-06,
      "image_size": [448, 448], "patch_size": [14, 14], "num_channels": 3, "use_mask_token": false,
      "use_absolute_position_embeddings": true, "layer_scale_init_value": 0.1, "use_mean_pooling": true})");
    const json qwen2_vl_vision = json::parse(R"({
      "depth": 32, "embed_dim": 1280, "hidden_size": 3584, "hidden_act": "quick_gelu", "mlp_ratio": 4, "num_heads": 16,
      "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": 0.02,
      "rope_parameters": {"rope_theta": 10000.0, "rope_type": "axial"}})");
    const json qwen2_5_vl_vision = json::parse(R"({
      "depth": 32, "hidden_size": 3584, "hidden_act": "silu", "intermediate_size": 3420, "num_heads": 16, "in_channels": 3,
      "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "tokens_per_second": 4, "window_size": 112,
      "out_hidden_size": 3584, "fullatt_block_indexes": [7, 15, 23, 31], "initializer_range": 0.02,
      "rope_parameters": {"rope_theta": 10000.0, "rope_type": "axial"}})");
    const json idefics3_vision = json::parse(R"({
      "hidden_size": 1152, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 16, "num_channels": 3,
      "image_size": 224, "patch_size": 32, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-06, "attention_dropout": 0.0,
      "initializer_range": 0.02})");
    const json qwen_outer = json::parse(R"({
      "image_token_id": 151655, "video_token_id": 151656, "vision_start_token_id": 151652, "vision_end_token_id": 151653})");
    const json idefics3_outer = json::parse(
        R"({"use_cache": true, "image_token_id": 128257, "scale_factor": 2, "_pad_token_id": 128002})");
    return std::map<std::string, json>{{"llama", llama},
                                       {"mistral", mistral},
                                       {"qwen2", qwen2},
                                       {"qwen2_vl_text", qwen2_vl_text},
                                       {"qwen2_5_vl_text", qwen2_vl_text},
                                       {"gemma", gemma},
                                       {"clip_vision_model", clip},
                                       {"siglip_vision_model", siglip},
                                       {"internvl_vision", internvl},
                                       {"qwen2_vl_vision", qwen2_vl_vision},
                                       {"qwen2_5_vl_vision", qwen2_5_vl_vision},
                                       {"idefics3_vision", idefics3_vision},
                                       {"smolvlm_vision", idefics3_vision},
                                       {"llava", json::parse(R"({
           "image_token_index": 32000, "image_seq_length": 576, "projector_hidden_act": "gelu",
           "vision_feature_select_strategy": "default", "vision_feature_layer": -2, "multimodal_projector_bias": true})")},
                                       {"internvl", json::parse(R"({
           "image_token_id": 151667, "image_seq_length": 256, "downsample_ratio": 0.5, "projector_hidden_act": "gelu",
           "vision_feature_layer": -1, "vision_feature_select_strategy": "default"})")},
                                       {"qwen2_vl", qwen_outer},
                                       {"qwen2_5_vl", qwen_outer},
                                       {"idefics3", idefics3_outer},
                                       {"smolvlm", idefics3_outer},
                                       {"paligemma", json::parse(R"({
           "image_token_index": 256000, "vocab_size": 257152, "projection_dim": 2048, "hidden_size": 2048})")}};
  }();
  return all;
}

const json& class_of(const std::string& type) {
  const auto found = classes().find(type);
  check(found != classes().end(), "no configuration class {}", type);
  return found->second;
}

// About the file and not the model, or said elsewhere in version 5.
void drop_stale(json& config) {
  for (const char* key :
       {"torch_dtype", "dtype", "transformers_version", "_name_or_path", "_commit_hash", "architectures",
        "auto_map", "attn_implementation", "_attn_implementation_autoset", "_flash_attn_2_enabled"})
    config.erase(key);
}

// The defaults of a class under what the source says.
json with_defaults(const json& source, const std::string& type) {
  json config = class_of(type);
  config.update(source);
  drop_stale(config);
  config["model_type"] = type;
  return config;
}

json rope_parameters(const json& source, const TextConfig& text) {
  json rope = part_of(source, "rope_parameters");
  if (rope.empty()) rope = part_of(source, "rope_scaling");
  if (!rope.contains("rope_type")) rope["rope_type"] = rope.value("type", json("default"));
  if (rope["rope_type"] == "mrope") rope["rope_type"] = "default";
  rope.erase("type");
  rope["rope_theta"] = text.rope.theta;
  const RopeConfig::Scaling scaling = text.rope.scaling;
  if (scaling == RopeConfig::Scaling::llama3 || scaling == RopeConfig::Scaling::yarn)
    rope["original_max_position_embeddings"] = text.rope.original_positions;
  return rope;
}

}  // namespace

json part_of(const json& source, const char* key) {
  const auto found = source.find(key);
  return found == source.end() || found->is_null() ? json::object() : *found;
}

json keys_of_class(const json& source, const std::string& type) {
  json kept = json::object();
  for (const auto& [key, value] : source.items()) {
    if (class_of(type).contains(key)) kept[key] = value;
  }
  return kept;
}

json v5_text(const json& source, const TextConfig& text, const std::string& type) {
  json config = with_defaults(source, type);
  config["num_key_value_heads"] = text.kv_heads;
  if (class_of(type).contains("head_dim")) config["head_dim"] = text.head_width;
  config["rope_parameters"] = rope_parameters(source, text);
  config.erase("rope_theta");
  config.erase("rope_scaling");
  if (!class_of(type).contains("layer_types")) return config;
  if (text.window == 0) config["sliding_window"] = nullptr;
  config["layer_types"] = json::array();
  for (i64 i = 0; i < text.layers; ++i)
    config["layer_types"].push_back(text.windowed(i) ? "sliding_attention" : "full_attention");
  return config;
}

json v5_vision(const json& source, const std::string& type) {
  return with_defaults(source, type);
}

json v5_outer(const json& source, const std::string& type, const TextConfig& text) {
  json config = with_defaults(source, type);
  for (const char* part : {"vision_config", "text_config"}) config.erase(part);
  config["tie_word_embeddings"] = text.tied;
  return config;
}

}  // namespace longsight::model
