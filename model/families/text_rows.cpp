#include "model/families/text_rows.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "runtime/base/json.h"

namespace longsight::model {
namespace {

// As transformers names tensors; of the norms of q and k those models have that normalise heads.
TextNames usual_names() {
  return {.embedding = "embed_tokens",
          .blocks = "layers",
          .block = {.attention_norm = "input_layernorm",
                    .q = "self_attn.q_proj",
                    .k = "self_attn.k_proj",
                    .v = "self_attn.v_proj",
                    .q_norm = "self_attn.q_norm",
                    .k_norm = "self_attn.k_norm",
                    .out = "self_attn.o_proj",
                    .mlp_norm = "post_attention_layernorm",
                    .gate = "mlp.gate_proj",
                    .up = "mlp.up_proj",
                    .down = "mlp.down_proj"},
          .final_norm = "norm",
          .head = "lm_head"};
}

TextNames internlm2_names() {
  return {.embedding = "tok_embeddings",
          .blocks = "layers",
          .block = {.attention_norm = "attention_norm",
                    .qkv = "attention.wqkv",
                    .out = "attention.wo",
                    .mlp_norm = "ffn_norm",
                    .gate = "feed_forward.w1",
                    .up = "feed_forward.w3",
                    .down = "feed_forward.w2"},
          .final_norm = "norm",
          .head = "output"};
}

// Sources: the configuration and modelling files of transformers 5.23 under models/<type>; of InternLM2 those
// of the model hub.
std::vector<TextRow> made_text_rows() {
  return {
      {.types = {"llama"},
       .architecture = "LlamaForCausalLM",
       .image_token = 151667,
       .fixed = {.names = usual_names()},
       .attention_bias = "attention_bias",
       .mlp_bias = "mlp_bias",
       .defaults = Json::parse(R"({
         "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": null, "hidden_act": "silu",
         "max_position_embeddings": 2048, "initializer_range": 0.02, "rms_norm_eps": 1e-06, "use_cache": true,
         "pad_token_id": null, "bos_token_id": 1, "eos_token_id": 2, "pretraining_tp": 1,
         "tie_word_embeddings": false, "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false,
         "head_dim": null})")},

      {.types = {"mistral"},
       .architecture = "MistralForCausalLM",
       .fixed = {.names = usual_names()},
       .windows = TextRow::Windows::every_block,
       .refused = {{"attention_bias", false}},
       .defaults = Json::parse(R"({
         "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": null, "hidden_act": "silu",
         "max_position_embeddings": 131072, "initializer_range": 0.02, "rms_norm_eps": 1e-06,
         "use_cache": true, "pad_token_id": null, "bos_token_id": 1, "eos_token_id": 2,
         "tie_word_embeddings": false, "sliding_window": 4096, "attention_dropout": 0.0})")},

      {.types = {"qwen2"},
       .architecture = "Qwen2ForCausalLM",
       .chat = "qwen2",
       .image_token = 151667,
       .fixed = {.qkv_bias = true, .names = usual_names()},
       .windows = TextRow::Windows::upper_blocks,
       .defaults = Json::parse(R"({
         "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu",
         "max_position_embeddings": 32768, "initializer_range": 0.02, "rms_norm_eps": 1e-06,
         "use_cache": true, "tie_word_embeddings": false, "use_sliding_window": false,
         "sliding_window": 4096, "max_window_layers": 28, "layer_types": null, "attention_dropout": 0.0,
         "pad_token_id": null, "bos_token_id": null, "eos_token_id": null})")},

      {.types = {"qwen3"},
       .architecture = "Qwen3ForCausalLM",
       .image_token = 151671,
       .fixed = {.head_norms = true, .names = usual_names()},
       .attention_bias = "attention_bias",
       .windows = TextRow::Windows::upper_blocks,
       .defaults = Json::parse(R"({
         "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128, "hidden_act": "silu",
         "max_position_embeddings": 32768, "initializer_range": 0.02, "rms_norm_eps": 1e-06,
         "use_cache": true, "tie_word_embeddings": false, "attention_bias": false,
         "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28, "layer_types": null,
         "attention_dropout": 0.0, "pad_token_id": null, "bos_token_id": null, "eos_token_id": null})")},

      {.types = {"seed_oss"},
       .architecture = "SeedOssForCausalLM",
       .fixed = {.names = usual_names()},
       .attention_bias = "attention_bias",
       .output_bias = "attention_out_bias",
       .mlp_bias = "mlp_bias",
       .dropout = {"attention_dropout", "residual_dropout"},
       .defaults = Json::parse(R"({
         "vocab_size": 155136, "hidden_size": 4096, "intermediate_size": 27648, "num_hidden_layers": 64,
         "num_attention_heads": 80, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
         "max_position_embeddings": 524288, "initializer_range": 0.02, "rms_norm_eps": 1e-06,
         "use_cache": true, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "pretraining_tp": 1,
         "tie_word_embeddings": false, "attention_bias": true, "attention_out_bias": false,
         "attention_dropout": 0.1, "residual_dropout": 0.1, "mlp_bias": false})")},

      // Inside of Qwen2-VL and Qwen2.5-VL; in older files its keys lie at the top, under the family's type.
      {.types = {"qwen2_vl_text", "qwen2_5_vl_text", "qwen2_vl", "qwen2_5_vl"},
       .alone = false,
       .fixed = {.qkv_bias = true, .names = usual_names()},
       .own_head_width = false,
       .windows = TextRow::Windows::upper_blocks,
       .defaults = Json::parse(R"({
         "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
         "num_attention_heads": 64, "num_key_value_heads": 8, "hidden_act": "silu",
         "max_position_embeddings": 32768, "initializer_range": 0.02, "rms_norm_eps": 1e-05,
         "use_cache": true, "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 80,
         "layer_types": null, "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
         "pad_token_id": null})"),
       .rope_theta = 1e6},

      {.types = {"gemma"},
       .architecture = "GemmaForCausalLM",
       .alone = false,
       .fixed = {.norm_plus_one = true, .names = usual_names()},
       .attention_bias = "attention_bias",
       .scaled_embedding = true,
       .gelu_is_tanh = true,
       .defaults = Json::parse(R"({
         "vocab_size": 256000, "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28,
         "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256,
         "hidden_act": "gelu_pytorch_tanh", "max_position_embeddings": 8192, "initializer_range": 0.02,
         "rms_norm_eps": 1e-06, "use_cache": true, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
         "tie_word_embeddings": true, "attention_bias": false, "attention_dropout": 0.0,
         "use_bidirectional_attention": null})")},

      {.types = {"internlm2"},
       .architecture = "InternLM2ForCausalLM",
       .alone = false,
       .v5_type = "llama",
       .image_token = 92546,
       .fixed = {.interleaved_qkv = true, .names = internlm2_names()},
       .attention_bias = "bias",
       .own_head_width = false,
       .defaults = Json::parse(R"({
         "vocab_size": 103168, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": null, "hidden_act": "silu",
         "max_position_embeddings": 2048, "initializer_range": 0.02, "rms_norm_eps": 1e-06, "use_cache": true,
         "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": false,
         "bias": true})")},
  };
}

}  // namespace

const std::vector<TextRow>& text_rows() {
  static const std::vector<TextRow> rows = made_text_rows();
  return rows;
}

const TextRow* find_text_row(const std::string& model_type) {
  for (const TextRow& row : text_rows()) {
    if (std::find(row.types.begin(), row.types.end(), model_type) != row.types.end()) return &row;
  }
  return nullptr;
}

const TextRow& text_row(const std::string& type) {
  const TextRow* row = find_text_row(type);
  check(row != nullptr, "no language model {}", type);
  return *row;
}

std::string known_text_models() {
  std::vector<std::string> known;
  for (const TextRow& row : text_rows()) {
    if (row.alone) known.push_back(row.type());
  }
  return fmt::format("{}", fmt::join(known, ", "));
}

}  // namespace longsight::model
