// What a language model is: one row each. The reader of configurations, names of tensors, both forms of
// export, the families that have a language model inside and those that are one alone, detection and the
// planner all work from the row and from the TextConfig that is read by it; nothing else knows language
// models by name.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/config.h"

namespace longsight::model {

struct TextRow {
  std::vector<std::string> types;  // model_type in configurations; the first one is the class's own
  std::string architecture = {};   // of a checkpoint of it alone
  bool alone = true;               // such checkpoints are read, and other families may have it inside
  std::string v5_type = {};        // the class of transformers that computes it; empty: its own
  std::string chat = "chatml";     // format, where no file says it
  i64 image_token = -1;  // <IMG_CONTEXT> of published InternVLChatModels with it; -1: there are none

  // ---- the mathematics: what a file cannot change, and how what it can change is called

  // Biases that are always there, norms, the order of q, k and v; tensors without what stands in front of
  // all.
  TextConfig fixed = {};
  // Keys that switch biases; empty: as fixed. That of the output follows the first where it has none of its
  // own.
  std::string attention_bias = {}, output_bias = {}, mlp_bias = {};
  std::vector<std::string> dropout = {"attention_dropout"};  // keys; reported, not applied
  bool own_head_width = true;  // head_dim counts; else heads are hidden_size / num_attention_heads wide
  // Sliding windows: sliding_window of every block, or, where use_sliding_window says so, of those from
  // max_window_layers on or by layer_types.
  enum class Windows { none, every_block, upper_blocks } windows = Windows::none;
  bool scaled_embedding = false;  // by the square root of the width
  bool gelu_is_tanh = false;      // hidden_act "gelu" means its tanh form, and hidden_activation wins
  nlohmann::json refused = nlohmann::json::object();  // keys that may have this value only

  // Every key of the class with its value where a file has none; null where it is derived from others.
  nlohmann::json defaults = nlohmann::json::object();
  double rope_theta = 1e4;  // the class's, where neither form of RoPE's keys says it

  const std::string& type() const { return types.front(); }
  bool in_internvl_chat() const { return image_token >= 0; }
  const std::string& written_type() const { return v5_type.empty() ? type() : v5_type; }
};

const std::vector<TextRow>& text_rows();
const TextRow* find_text_row(const std::string& model_type);  // null: no such language model
const TextRow& text_row(const std::string& type);             // internal error where there is none

// "llama, mistral, qwen2": of those that can be inside of other families.
std::string known_text_models();

}  // namespace longsight::model
