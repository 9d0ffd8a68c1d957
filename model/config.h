// The shape of a model, read from a Hugging Face config.json. Everything that changes the computation is here
// by name; what the file says besides is kept in `source` and written back on export.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/data/image/image_source.h"
#include "runtime/ops/activation.h"
#include "runtime/tensor/shape.h"

namespace longsight::model {

struct RopeConfig {
  double theta = 10000;
  enum class Scaling { none, linear, dynamic, llama3, yarn } scaling = Scaling::none;
  double factor = 1;
  double low_freq_factor = 1;   // llama3
  double high_freq_factor = 4;  // llama3
  double beta_fast = 32;        // yarn
  double beta_slow = 1;         // yarn
  double attention_factor = 1;  // yarn: of cos and sin
  i64 original_positions = 0;   // llama3, yarn: of the training before; dynamic: up to it nothing is scaled
  // M-RoPE: how many of the frequencies turn with time, height and width, in this order; empty: all with one
  // position.
  std::vector<i64> sections = {};
};

// A tensor that a file holds and no computation uses: carried from file to file.
struct CarriedTensor {
  std::string name;
  Shape shape;
};

// Names of a block's tensors behind "<root><blocks>.<number>.", without ".weight" and ".bias".
struct BlockNames {
  std::string attention_norm = {};
  std::string qkv = {};  // q, k and v in one tensor; empty: three
  std::string q = {}, k = {}, v = {};
  std::string q_norm = {}, k_norm = {};
  std::string out = {};
  std::string attention_scale = {};  // layer scale; the whole name
  std::string mlp_norm = {};
  std::string gate = {};  // empty: the MLP is not gated
  std::string up = {}, down = {};
  std::string mlp_scale = {};
};

struct VisionNames {
  std::string root = {};  // in front of all others: "vision_tower.vision_model."
  std::string class_row = {};
  std::string patch = {};     // without ".weight"
  std::string position = {};  // the whole name
  std::string pre_norm = {}, post_norm = {};
  std::string blocks = {};  // "encoder.layers"
  BlockNames block = {};

  std::string block_root(i64 index) const { return fmt::format("{}{}.{}.", root, blocks, index); }
};

struct VisionConfig {
  i64 width = 0;
  i64 intermediate = 0;
  i64 layers = 0;  // 0: a language model alone
  i64 heads = 0;
  i64 patch = 0;
  i64 temporal = 1;    // frames that one patch covers
  i64 image_size = 0;  // pixels of a tile's edge; 0: any size, and images come as rows of patches
  i64 merge = 1;       // patches along an edge of the block that one connector row joins
  double eps = 1e-5;
  ops::Activation activation = ops::Activation::quick_gelu;

  bool rms = false;  // norms of the blocks
  bool gated = false;
  bool class_row = true;
  bool patch_bias = false;
  bool qkv_bias = true;
  bool pre_norm = true;
  bool post_norm = true;  // there is one
  bool qk_norm = false;   // RMS norm over the whole width of q and of k
  double qk_eps = 1e-6;   // of those norms
  bool layer_scale = false;
  bool batched_embeddings = false;  // class row and positions are stored with a leading dimension of one

  enum class Positions { none, table, spread } positions = Positions::table;  // spread: Idefics3's buckets
  bool rope = false;                  // 2-D, by row and column of the patch
  i64 window = 0;                     // merge blocks along the edge of an attention window; 0: no windows
  std::vector<i64> full_blocks = {};  // with windows: blocks whose attention goes over the whole image

  enum class Init { plain, clip } init = Init::plain;
  double initializer_range = 0.02;
  double initializer_factor = 1;
  double layer_scale_init = 1;

  VisionNames names = {};
  std::vector<CarriedTensor> carried = {};

  i64 position_rows() const { return class_rows() + grid() * grid(); }  // of the position table
  i64 grid() const { return image_size / patch; }                       // patches along an edge of a tile
  i64 head_width() const { return heads > 0 ? width / heads : 0; }
  i64 patch_inputs() const { return 3 * temporal * patch * patch; }
  i64 class_rows() const { return class_row ? 1 : 0; }
  i64 merged() const { return merge * merge; }  // patch rows of a merge block
  bool windowed(i64 block) const;
};

struct TextNames {
  std::string embedding = {};  // whole names without ".weight"
  std::string blocks = {};     // "language_model.model.layers"
  BlockNames block = {};
  std::string final_norm = {};
  std::string head = {};
};

struct TextConfig {
  std::string type = {};  // the row of families/text_rows.h
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
  bool qkv_bias = false;
  bool out_bias = false;
  bool mlp_bias = false;
  bool tied = false;
  bool head_norms = false;       // RMS norms of each head of q and of k, in front of the rotation
  bool norm_plus_one = false;    // norms multiply by 1 + weight
  bool interleaved_qkv = false;  // the joined q, k, v is stored by KV head: its query heads, k, v
  double embedding_scale = 1;    // of text embeddings, rounded to f32
  i64 window = 0;                // sliding window; 0: none
  i64 first_windowed_block = 0;  // blocks below it see all positions
  i64 first_position = 0;        // of a sample
  RopeConfig rope = {};
  double initializer_range = 0.02;
  TextNames names = {};

  bool windowed(i64 block) const { return window > 0 && block >= first_windowed_block; }
};

struct ConnectorConfig {
  std::vector<i64> feature_layers;  // hidden states: 0 is the input of block 1, k the output of block k
  bool drop_first_row = true;       // of each tile, whether it is a class token or not
  bool row_norm = false;     // the tower's post norm, or the merger's own, on rows before they are joined
  bool joined_norm = false;  // layer norm of the joined rows
  double row_norm_eps = 1e-6;
  double joined_norm_eps = 1e-5;
  bool own_row_norm = false;  // the row norm is the connector's, not the tower's
  i64 middle = 0;             // width between the two linear layers; 0: there is only one
  bool bias = true;
  bool blocks_by_column = false;  // features run through the merge blocks column by column
  ops::Activation activation = ops::Activation::gelu;
  std::string row_norm_name, joined_norm_name, first_name, second_name;
};

// The text that stands for an image: placeholders alone, or with what the family puts around and between
// them.
enum class MediaStyle { plain, internvl, qwen, smolvlm };

struct ModelConfig {
  std::string family;    // "llava"; the key of families.h
  i64 image_token = -1;  // -1: none
  i64 video_token = -1;  // -1: no videos
  MediaStyle media_style = MediaStyle::plain;
  bool prefix_attention = false;    // tokens in front of the answer see each other
  double positions_per_second = 0;  // M-RoPE: time steps of a second of video; 0: one step a temporal patch
  VisionConfig vision;
  TextConfig text;
  ConnectorConfig connector;
  nlohmann::json source;              // the file as it was read
  std::vector<std::string> warnings;  // keys not understood, dropout not applied

  bool has_vision() const { return vision.layers > 0; }
  bool is_placeholder(i64 id) const { return id >= 0 && (id == image_token || id == video_token); }
  // Blocks up to the highest feature layer; the others have no gradient and do not run.
  i64 vision_blocks_run() const;

  // Of an image as it goes through the tower.
  i64 rows_per_tile(const data::ImageLayout& layout) const {
    return vision.class_rows() + layout.rows * layout.columns;
  }
  i64 features_per_tile(const data::ImageLayout& layout) const;
  i64 features(const data::ImageLayout& layout) const { return layout.tiles * features_per_tile(layout); }

  // Of towers with tiles of one size.
  data::ImageLayout tile_layout(i64 tiles = 1) const {
    return {.tiles = tiles, .rows = vision.grid(), .columns = vision.grid()};
  }

  i64 connector_input() const {
    return vision.width * vision.merged() * static_cast<i64>(connector.feature_layers.size());
  }
};

// Errors are bad_data and name the file and the key.
ModelConfig read_model_config(const nlohmann::json& file, const std::string& path);

}  // namespace longsight::model
