#include "model/families/vision_towers.h"

namespace longsight::model {
namespace {

// Sizes and names that CLIP and SigLIP have in common.
VisionConfig read_common(ConfigReader& r, const TowerDefaults& d, const std::string& root,
                         std::vector<std::string>& warnings) {
  VisionConfig v = read_sizes(r, d);
  r.note_dropout("attention_dropout", warnings);
  r.note_dropout("dropout", warnings);
  r.ignore({"projection_dim", "torch_dtype", "dtype", "architectures", "transformers_version", "vocab_size",
            "_name_or_path", "model_type", "num_image_tokens", "num_positions"});
  v.names.root = root;
  v.names.patch = "embeddings.patch_embedding";
  v.names.position = "embeddings.position_embedding.weight";
  v.names.post_norm = "post_layernorm";
  v.names.blocks = "encoder.layers";
  BlockNames& b = v.names.block;
  b.attention_norm = "layer_norm1";
  b.q = "self_attn.q_proj";
  b.k = "self_attn.k_proj";
  b.v = "self_attn.v_proj";
  b.out = "self_attn.out_proj";
  b.mlp_norm = "layer_norm2";
  b.up = "mlp.fc1";
  b.down = "mlp.fc2";
  return v;
}

// SigLIP's pooling head: part of the files, and never run here.
std::vector<CarriedTensor> pooling_head(const VisionConfig& v) {
  const std::string head = v.names.root + "head.";
  return {{head + "probe", {1, 1, v.width}},
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

}  // namespace

VisionConfig read_sizes(ConfigReader& r, const TowerDefaults& d) {
  VisionConfig v;
  v.width = r.positive("hidden_size", d.width);
  v.intermediate = r.positive("intermediate_size", d.intermediate);
  v.layers = r.positive("num_hidden_layers", d.layers);
  v.heads = r.positive("num_attention_heads", d.heads);
  v.image_size = r.square("image_size", d.image_size);
  v.patch = r.square("patch_size", d.patch);
  v.initializer_range = r.number("initializer_range", 0.02);
  r.refuse_unless("num_channels", 3, "pictures have three channels");
  return v;
}

VisionConfig read_clip(ConfigReader& r, const TowerDefaults& d, const std::string& root,
                       std::vector<std::string>& warnings) {
  VisionConfig v = read_common(r, d, root, warnings);
  v.eps = r.number("layer_norm_eps", 1e-5);
  v.activation = ops::activation_from_hf(r.text("hidden_act", "quick_gelu"), r.where() + ": hidden_act");
  v.init = VisionConfig::Init::clip;
  v.initializer_factor = r.number("initializer_factor", 1);
  v.names.class_row = "embeddings.class_embedding";
  v.names.pre_norm = "pre_layrnorm";  // as the files spell it
  check_tower(r, v);
  r.note_unread(warnings);
  return v;
}

VisionConfig read_siglip(ConfigReader& r, const TowerDefaults& d, const std::string& root,
                         std::vector<std::string>& warnings) {
  VisionConfig v = read_common(r, d, root, warnings);
  v.eps = r.number("layer_norm_eps", 1e-6);
  v.activation =
      ops::activation_from_hf(r.text("hidden_act", "gelu_pytorch_tanh"), r.where() + ": hidden_act");
  v.class_row = false;
  v.patch_bias = true;
  v.pre_norm = false;
  if (r.boolean("vision_use_head", true)) v.carried = pooling_head(v);
  r.ignore({"projector_hidden_act", "initializer_factor"});
  check_tower(r, v);
  r.note_unread(warnings);
  return v;
}

void check_tower(ConfigReader& r, const VisionConfig& v) {
  require(v.width % v.heads == 0, ExitCode::bad_data,
          "{}: hidden_size {} is not a multiple of num_attention_heads {}", r.where(), v.width, v.heads);
  require(v.image_size == 0 || v.image_size >= v.patch, ExitCode::bad_data,
          "{}: image_size {} is smaller than patch_size {}", r.where(), v.image_size, v.patch);
}

i64 hidden_state_index(i64 index, i64 layers, const std::string& where) {
  const i64 state = index < 0 ? layers + 1 + index : index;
  require(state >= 0 && state <= layers, ExitCode::bad_data, "{}: {} of a tower with {} layers", where, index,
          layers);
  return state;
}

}  // namespace longsight::model
