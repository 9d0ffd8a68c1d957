// The shape of a model, read from a Hugging Face config.json. Everything that changes the computation is here
// by name; what the file says besides is kept in `source` and written back on export.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/data/image_source.h"
#include "runtime/ops/activation.h"

namespace longsight::model {

struct RopeConfig {
  double theta = 10000;
  enum class Scaling { none, linear, llama3 } scaling = Scaling::none;
  double factor = 1;
  double low_freq_factor = 1;   // llama3
  double high_freq_factor = 4;  // llama3
  i64 original_positions = 0;   // llama3
};

struct VisionConfig {
  i64 width = 0;
  i64 intermediate = 0;
  i64 layers = 0;
  i64 heads = 0;
  i64 image_size = 0;
  i64 patch = 0;
  double eps = 1e-5;
  ops::Activation activation = ops::Activation::quick_gelu;
  double initializer_range = 0.02;
  double initializer_factor = 1;

  i64 grid() const { return image_size / patch; }  // patches along an edge
  i64 patches() const { return grid() * grid(); }
  i64 rows() const { return patches() + 1; }  // with the class token
  i64 head_width() const { return width / heads; }
};

struct TextConfig {
  i64 vocab = 0;
  i64 width = 0;
  i64 intermediate = 0;
  i64 layers = 0;
  i64 heads = 0;
  i64 kv_heads = 0;
  i64 head_width = 0;
  i64 max_positions = 0;
  double eps = 1e-6;
  ops::Activation activation = ops::Activation::silu;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tied = false;
  RopeConfig rope;
  double initializer_range = 0.02;
};

struct ConnectorConfig {
  std::vector<i64> feature_layers;  // hidden states: 0 is the input of block 1, k the output of block k
  bool drop_first_row = true;       // vision_feature_select_strategy "default"; false: "full"
  bool bias = true;
  ops::Activation activation = ops::Activation::gelu;
};

struct ModelConfig {
  std::string family;  // "llava"
  i64 image_token = -1;
  VisionConfig vision;
  TextConfig text;
  ConnectorConfig connector;
  nlohmann::json source;              // the file as it was read
  std::vector<std::string> warnings;  // keys not understood, dropout not applied

  i64 vision_blocks_run()
      const;  // blocks up to the highest feature layer; the others have no gradient and do not run
  i64 features_per_image() const;
  data::ImageLayout image_layout() const {
    return {.tiles = 1, .rows = vision.grid(), .columns = vision.grid()};
  }
  i64 connector_input() const { return vision.width * static_cast<i64>(connector.feature_layers.size()); }
};

// Errors are bad_data and name the file and the key.
ModelConfig read_model_config(const nlohmann::json& file, const std::string& path);

}  // namespace longsight::model
