// What a vision tower is: one row each, in the same way as text_rows.h has language models. Families say
// which towers they have, and add their connector.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/files/config_reader.h"

namespace longsight::model {

struct TowerRow {
  std::vector<std::string> types;  // model_type in configurations; the first one is the class's own
  std::string v5_type = {};        // the class of transformers that computes it; empty: its own

  // ---- the mathematics: what a file cannot change, and how what it can change is called

  VisionConfig fixed = {};            // class row, biases, norms, positions, .., and tensors without the root
  std::string width = "hidden_size";  // keys
  std::string intermediate = "intermediate_size";  // empty: read_more sets it
  std::string layers = "num_hidden_layers", heads = "num_attention_heads", channels = "num_channels";
  std::string eps = "layer_norm_eps";                         // empty: fixed.eps
  bool tiles = true;                                          // image_size is one for all
  std::string qkv_bias = {}, qk_norm = {};                    // keys of switches; empty: as fixed
  std::string norm_type = {};                                 // key: layer_norm or rms_norm
  std::string layer_scale = {};                               // key of its initial value
  std::vector<std::string> dropout = {};                      // reported, not applied
  std::vector<std::string> ignored = {};                      // known, without effect on the computation
  void (*read_more)(ConfigReader&, VisionConfig&) = nullptr;  // what no other tower has

  // Every key of the class with its value where a file has none; null where it is derived from others.
  nlohmann::json defaults = nlohmann::json::object();

  const std::string& type() const { return types.front(); }
};

const std::vector<TowerRow>& tower_rows();
const TowerRow* find_tower_row(const std::string& type);

}  // namespace longsight::model
