#include "model/families/tower_rows.h"

#include <algorithm>

#include "runtime/base/json.h"

namespace longsight::model {
namespace {

// CLIP's, SigLIP's and Idefics3's.
VisionNames clip_names() {
  return {.class_row = "embeddings.class_embedding",
          .patch = "embeddings.patch_embedding",
          .position = "embeddings.position_embedding.weight",
          .pre_norm = "pre_layrnorm",  // as the files spell it
          .post_norm = "post_layernorm",
          .blocks = "encoder.layers",
          .block = {.attention_norm = "layer_norm1",
                    .q = "self_attn.q_proj",
                    .k = "self_attn.k_proj",
                    .v = "self_attn.v_proj",
                    .out = "self_attn.out_proj",
                    .mlp_norm = "layer_norm2",
                    .up = "mlp.fc1",
                    .down = "mlp.fc2"}};
}

VisionNames internvl_names() {
  return {.class_row = "embeddings.cls_token",
          .patch = "embeddings.patch_embeddings.projection",
          .position = "embeddings.position_embeddings",
          .post_norm = "layernorm",
          .blocks = "encoder.layer",
          .block = {.attention_norm = "layernorm_before",
                    .q = "attention.q_proj",
                    .k = "attention.k_proj",
                    .v = "attention.v_proj",
                    .q_norm = "attention.q_norm",
                    .k_norm = "attention.k_norm",
                    .out = "attention.projection_layer",
                    .attention_scale = "lambda_1",
                    .mlp_norm = "layernorm_after",
                    .up = "mlp.fc1",
                    .down = "mlp.fc2",
                    .mlp_scale = "lambda_2"}};
}

VisionNames intern_vit_names() {
  return {.class_row = "embeddings.class_embedding",
          .patch = "embeddings.patch_embedding",
          .position = "embeddings.position_embedding",
          .blocks = "encoder.layers",
          .block = {.attention_norm = "norm1",
                    .qkv = "attn.qkv",
                    .q_norm = "attn.q_norm",
                    .k_norm = "attn.k_norm",
                    .out = "attn.proj",
                    .attention_scale = "ls1",
                    .mlp_norm = "norm2",
                    .up = "mlp.fc1",
                    .down = "mlp.fc2",
                    .mlp_scale = "ls2"}};
}

VisionNames qwen2_vl_names() {
  return {.patch = "patch_embed.proj",
          .blocks = "blocks",
          .block = {.attention_norm = "norm1",
                    .qkv = "attn.qkv",
                    .out = "attn.proj",
                    .mlp_norm = "norm2",
                    .up = "mlp.fc1",
                    .down = "mlp.fc2"}};
}

VisionNames qwen2_5_vl_names() {
  VisionNames names = qwen2_vl_names();
  names.block.gate = "mlp.gate_proj";
  names.block.up = "mlp.up_proj";
  names.block.down = "mlp.down_proj";
  return names;
}

// ---- what only one tower has

void read_clip(ConfigReader& r, VisionConfig& v) {
  v.initializer_factor = r.number("initializer_factor");
}

// SigLIP's pooling head: part of the files, and never run here.
void read_siglip(ConfigReader& r, VisionConfig& v) {
  if (!r.boolean("vision_use_head")) return;
  const std::string head = v.names.root + "head.";
  v.carried = {{head + "probe", {1, 1, v.width}},
               {head + "attention.in_proj_weight", {3 * v.width, v.width}},
               {head + "attention.in_proj_bias", {3 * v.width}},
               {head + "attention.out_proj.weight", {v.width, v.width}},
               {head + "attention.out_proj.bias", {v.width}},
               {head + "layernorm.weight", {v.width}},
               {head + "layernorm.bias", {v.width}},
               {head + "mlp.fc1.weight", {v.intermediate, v.width}},
               {head + "mlp.fc1.bias", {v.intermediate}},
               {head + "mlp.fc2.weight", {v.width, v.intermediate}},
               {head + "mlp.fc2.bias", {v.width}}};
}

void read_idefics3(ConfigReader& r, VisionConfig&) {
  r.refuse_unless("qk_layer_norms", false, "norms of q and k are not part of these towers");
}

void read_internvl(ConfigReader& r, VisionConfig& v) {
  v.post_norm = !r.boolean("use_mean_pooling");
  if (!r.boolean("use_absolute_position_embeddings")) v.positions = VisionConfig::Positions::none;
  r.refuse_unless("use_mask_token", false, "masked image modelling is not trained here");
}

// Norms of q and k have the epsilon of the others in the original code, and one of their own in transformers.
void read_intern_vit(ConfigReader&, VisionConfig& v) {
  v.qk_eps = v.eps;
}

void read_qwen(ConfigReader& r, VisionConfig& v) {
  v.merge = r.positive("spatial_merge_size");
  v.temporal = r.positive("temporal_patch_size");
  // Also keys that the class knows by other names, or derives.
  r.refuse_unless("num_hidden_layers", v.layers, "depth counts the layers");
  r.refuse_unless("num_attention_heads", v.heads, "num_heads counts the heads");
  r.refuse_unless("head_dim", v.head_width(), "heads of the tower are hidden_size / num_heads wide");
  r.refuse_unless("rope_theta", 10000, "the tower's rotary embedding has base 10000");
  ConfigReader rope = r.object(r.rope_key());
  rope.refuse_unless("rope_theta", 10000, "the tower's rotary embedding has base 10000");
  const std::string type = rope.text("rope_type", rope.text("type", "axial"));
  require(type == "axial" || type == "default", ExitCode::bad_data,
          "{}: rope_type \"{}\" is not supported: patches turn by row and column", rope.where(), type);
  require(v.head_width() % 4 == 0, ExitCode::bad_data,
          "{}: heads of {} channels cannot be turned by row and column: a multiple of 4 is needed", r.where(),
          v.head_width());
}

void read_qwen2_vl(ConfigReader& r, VisionConfig& v) {
  v.intermediate = static_cast<i64>(static_cast<double>(v.width) * r.number("mlp_ratio"));
  read_qwen(r, v);
}

void read_qwen2_5_vl(ConfigReader& r, VisionConfig& v) {
  read_qwen(r, v);
  v.window = r.positive("window_size") / v.merge / v.patch;
  require(v.window > 0, ExitCode::bad_data,
          "{}: window_size is smaller than a block of {} x {} patches of {}", r.where(), v.merge, v.merge,
          v.patch);
  const Json& full = *r.raw("fullatt_block_indexes");
  for (const Json& block : full.is_array() ? full : Json::array({full})) {
    require(block.is_number_integer(), ExitCode::bad_data,
            "{}: fullatt_block_indexes {} is not a list of integers", r.where(), full.dump());
    v.full_blocks.push_back(block.get<i64>());
  }
}

// Sources: the configuration and modelling files of transformers 5.23 under models/; of intern_vit_6b those
// of the model hub.
std::vector<TowerRow> made_tower_rows() {
  using Positions = VisionConfig::Positions;
  const Json idefics3 = Json::parse(R"({
    "hidden_size": 1152, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 16,
    "num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-06, "attention_dropout": 0.0, "initializer_range": 0.02})");
  return {
      {.types = {"clip_vision_model"},
       .fixed = {.init = VisionConfig::Init::clip, .names = clip_names()},
       .dropout = {"attention_dropout", "dropout"},
       .ignored = {"projection_dim", "vocab_size", "num_image_tokens", "num_positions"},
       .read_more = read_clip,
       .defaults = Json::parse(R"({
         "hidden_size": 768, "intermediate_size": 3072, "projection_dim": 512, "num_hidden_layers": 12,
         "num_attention_heads": 12, "num_channels": 3, "image_size": 224, "patch_size": 32,
         "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05, "attention_dropout": 0.0,
         "initializer_range": 0.02, "initializer_factor": 1.0})")},

      {.types = {"siglip_vision_model"},
       .fixed = {.class_row = false, .patch_bias = true, .pre_norm = false, .names = clip_names()},
       .dropout = {"attention_dropout", "dropout"},
       .ignored = {"projection_dim", "vocab_size", "num_image_tokens", "num_positions",
                   "projector_hidden_act", "initializer_factor"},
       .read_more = read_siglip,
       .defaults = Json::parse(R"({
         "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
         "num_channels": 3, "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh",
         "layer_norm_eps": 1e-06, "attention_dropout": 0.0, "vision_use_head": true})")},

      // SigLIP's without a head; positions of pictures that are not full are spread over the table.
      {.types = {"idefics3_vision", "smolvlm_vision", "idefics3", "smolvlm"},
       .fixed = {.class_row = false,
                 .patch_bias = true,
                 .pre_norm = false,
                 .positions = Positions::spread,
                 .names = clip_names()},
       .dropout = {"attention_dropout", "dropout"},
       .ignored = {"projection_dim", "vocab_size", "num_image_tokens", "num_positions",
                   "projector_hidden_act", "initializer_factor", "vision_use_head"},
       .read_more = read_idefics3,
       .defaults = idefics3},

      {.types = {"internvl_vision"},
       .fixed = {.patch_bias = true,
                 .pre_norm = false,
                 .layer_scale = true,
                 .batched_embeddings = true,
                 .names = internvl_names()},
       .qkv_bias = "attention_bias",
       .qk_norm = "use_qk_norm",
       .norm_type = "norm_type",
       .layer_scale = "layer_scale_init_value",
       .dropout = {"hidden_dropout_prob", "attention_dropout", "projection_dropout"},
       .read_more = read_internvl,
       .defaults = Json::parse(R"({
         "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "attention_bias": false,
         "use_qk_norm": false, "intermediate_size": 4096, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
         "attention_dropout": 0.0, "projection_dropout": 0.0, "initializer_range": 0.02,
         "norm_type": "layer_norm", "layer_norm_eps": 1e-06, "image_size": [448, 448], "patch_size": [14, 14],
         "num_channels": 3, "use_mask_token": false, "use_absolute_position_embeddings": true,
         "layer_scale_init_value": 0.1, "use_mean_pooling": true})")},

      {.types = {"intern_vit_6b"},
       .v5_type = "internvl_vision",
       .fixed = {.patch_bias = true,
                 .pre_norm = false,
                 .post_norm = false,
                 .layer_scale = true,
                 .batched_embeddings = true,
                 .names = intern_vit_names()},
       .qkv_bias = "qkv_bias",
       .qk_norm = "qk_normalization",
       .norm_type = "norm_type",
       .layer_scale = "initializer_factor",
       .dropout = {"attention_dropout", "dropout", "drop_path_rate"},
       .ignored = {"use_flash_attn", "auto_map"},
       .read_more = read_intern_vit,
       .defaults = Json::parse(R"({
         "hidden_size": 3200, "intermediate_size": 12800, "num_hidden_layers": 48, "num_attention_heads": 25,
         "num_channels": 3, "image_size": 224, "patch_size": 14, "hidden_act": "gelu",
         "layer_norm_eps": 1e-06, "norm_type": "rms_norm", "qkv_bias": false, "qk_normalization": true,
         "dropout": 0.0, "drop_path_rate": 0.0, "attention_dropout": 0.0, "initializer_range": 0.02,
         "initializer_factor": 0.1})")},

      // in_chans is what old files call in_channels, and what the class does not read.
      {.types = {"qwen2_vl_vision", "qwen2_vl"},
       .fixed = {.eps = 1e-6,
                 .class_row = false,
                 .pre_norm = false,
                 .post_norm = false,
                 .positions = Positions::none,
                 .rope = true,
                 .names = qwen2_vl_names()},
       .width = "embed_dim",
       .intermediate = "",
       .layers = "depth",
       .heads = "num_heads",
       .channels = "in_channels",
       .eps = "",
       .tiles = false,
       .ignored = {"in_chans", "spatial_patch_size"},
       .read_more = read_qwen2_vl,
       .defaults = Json::parse(R"({
         "depth": 32, "embed_dim": 1280, "hidden_size": 3584, "hidden_act": "quick_gelu", "mlp_ratio": 4,
         "num_heads": 16, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2,
         "temporal_patch_size": 2, "initializer_range": 0.02})")},

      {.types = {"qwen2_5_vl_vision", "qwen2_5_vl"},
       .fixed = {.eps = 1e-6,
                 .rms = true,
                 .gated = true,
                 .class_row = false,
                 .pre_norm = false,
                 .post_norm = false,
                 .positions = Positions::none,
                 .rope = true,
                 .names = qwen2_5_vl_names()},
       .layers = "depth",
       .heads = "num_heads",
       .channels = "in_channels",
       .eps = "",
       .tiles = false,
       .ignored = {"in_chans", "spatial_patch_size"},
       .read_more = read_qwen2_5_vl,
       .defaults = Json::parse(R"({
         "depth": 32, "hidden_size": 3584, "hidden_act": "silu", "intermediate_size": 3420, "num_heads": 16,
         "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
         "tokens_per_second": 4, "window_size": 112, "out_hidden_size": 3584,
         "fullatt_block_indexes": [7, 15, 23, 31], "initializer_range": 0.02})")},
  };
}

}  // namespace

const std::vector<TowerRow>& tower_rows() {
  static const std::vector<TowerRow> rows = made_tower_rows();
  return rows;
}

const TowerRow* find_tower_row(const std::string& type) {
  for (const TowerRow& row : tower_rows()) {
    if (std::find(row.types.begin(), row.types.end(), type) != row.types.end()) return &row;
  }
  return nullptr;
}

}  // namespace longsight::model
