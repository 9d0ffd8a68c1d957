#include "tests/support/tiny_families.h"

#include "runtime/base/error.h"

namespace longsight::test {
namespace {

nlohmann::json parsed(const char* text) {
  return nlohmann::json::parse(text);
}

std::vector<TinyFamily> made() {
  std::vector<TinyFamily> all;
  // SigLIP without class token, whose first row is dropped all the same; a sliding window in every block.
  all.push_back({"llava, SigLIP and Mistral", parsed(R"({
    "model_type": "llava", "image_token_index": 90, "vision_feature_layer": -1,
    "text_config": {"model_type": "mistral", "vocab_size": 97, "hidden_size": 36, "intermediate_size": 50, "num_hidden_layers": 2,
      "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 5},
    "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 30, "intermediate_size": 44, "num_hidden_layers": 2,
      "num_attention_heads": 5, "image_size": 12, "patch_size": 4}})")});
  // Norms of q and k, RMS norm, layer scale, pixel shuffle; a window in the upper block of two.
  all.push_back({"internvl, Qwen2", parsed(R"({
    "model_type": "internvl", "image_token_id": 90, "downsample_ratio": 0.5, "tie_word_embeddings": true,
    "text_config": {"model_type": "qwen2", "vocab_size": 97, "hidden_size": 28, "intermediate_size": 50, "num_hidden_layers": 2,
      "num_attention_heads": 7, "num_key_value_heads": 1, "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1},
    "vision_config": {"model_type": "internvl_vision", "hidden_size": 30, "intermediate_size": 44, "num_hidden_layers": 2,
      "num_attention_heads": 5, "image_size": [16, 16], "patch_size": [4, 4], "use_qk_norm": true, "norm_type": "rms_norm",
      "attention_bias": true, "use_mean_pooling": false}})")});
  // The original form: joined q, k and v in both towers, interleaved in the language model; features column
  // by column; RoPE that depends on the length.
  all.push_back({"internvl_chat, InternLM2", parsed(R"({
    "model_type": "internvl_chat", "img_context_token_id": 90, "downsample_ratio": 0.5, "force_image_size": 16, "select_layer": -2,
    "llm_config": {"architectures": ["InternLM2ForCausalLM"], "vocab_size": 97, "hidden_size": 36, "intermediate_size": 50,
      "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 3, "bias": false, "max_position_embeddings": 16,
      "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "vision_config": {"hidden_size": 30, "intermediate_size": 44, "num_hidden_layers": 3, "num_attention_heads": 5, "image_size": 16,
      "patch_size": 4, "norm_type": "layer_norm", "qkv_bias": true, "qk_normalization": false}})")});
  all.push_back({"qwen2_vl", parsed(R"({
    "model_type": "qwen2_vl", "image_token_id": 90, "video_token_id": 91, "vocab_size": 97, "hidden_size": 40, "intermediate_size": 50,
    "num_hidden_layers": 2, "num_attention_heads": 5, "num_key_value_heads": 1, "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]},
    "vision_config": {"depth": 2, "embed_dim": 24, "hidden_size": 40, "num_heads": 3, "mlp_ratio": 2, "patch_size": 2}})")});
  // Windows of 2 x 2 merge blocks in the first block, the whole image in the second.
  all.push_back({"qwen2_5_vl", parsed(R"({
    "model_type": "qwen2_5_vl", "image_token_id": 90, "video_token_id": 91, "vocab_size": 97, "hidden_size": 48, "intermediate_size": 50,
    "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2, "tie_word_embeddings": true,
    "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]},
    "vision_config": {"depth": 2, "hidden_size": 24, "intermediate_size": 34, "out_hidden_size": 48, "num_heads": 3, "patch_size": 2,
      "window_size": 8, "fullatt_block_indexes": [1]}})")});
  all.push_back({"smolvlm", parsed(R"({
    "model_type": "smolvlm", "image_token_id": 90, "scale_factor": 3,
    "text_config": {"model_type": "llama", "vocab_size": 97, "hidden_size": 30, "intermediate_size": 50, "num_hidden_layers": 2,
      "num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 6},
    "vision_config": {"hidden_size": 30, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 5, "image_size": 24,
      "patch_size": 4}})")});
  // A prefix that sees itself, one KV head, norms of 1 + gain.
  all.push_back({"paligemma", parsed(R"({
    "model_type": "paligemma", "image_token_index": 90, "projection_dim": 36,
    "text_config": {"model_type": "gemma", "vocab_size": 97, "hidden_size": 36, "intermediate_size": 50, "num_hidden_layers": 2,
      "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 10},
    "vision_config": {"hidden_size": 30, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 5, "image_size": 12,
      "patch_size": 4, "vision_use_head": true}})")});
  all.push_back({"a language model alone", parsed(R"({
    "model_type": "llama", "vocab_size": 97, "hidden_size": 36, "intermediate_size": 50, "num_hidden_layers": 2,
    "num_attention_heads": 6, "num_key_value_heads": 3, "attention_bias": true})")});
  return all;
}

}  // namespace

const std::vector<TinyFamily>& tiny_families() {
  static const std::vector<TinyFamily> all = made();
  return all;
}

const nlohmann::json& tiny_family(const std::string& name) {
  for (const TinyFamily& family : tiny_families()) {
    if (family.name == name) return family.config;
  }
  fail(ExitCode::internal, "no tiny model {}", name);
}

}  // namespace longsight::test
