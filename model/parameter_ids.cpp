#include "model/parameter_ids.h"

#include <cmath>

namespace longsight::model {
namespace {

// Adds parameters of one part under a name prefix.
class Names {
 public:
  Names(ParameterRegistry& registry, std::string part, bool used)
      : registry_(registry), part_(std::move(part)), used_(used) {}

  ParameterId add(const std::string& name, Shape shape, Init init) {
    return registry_.add({.name = name, .shape = shape, .part = part_, .init = init, .used = used_});
  }
  NormIds layer_norm(const std::string& name, i64 width) {
    const ParameterId gain = add(name + ".weight", {width}, init_ones());
    return {gain, add(name + ".bias", {width}, init_zeros())};
  }
  NormIds rms_norm(const std::string& name, i64 width) {
    return {add(name + ".weight", {width}, init_ones()), kNone};
  }
  // Weights first, then biases, so that each kind is a run of neighbours.
  struct Part {
    std::string name;
    i64 rows;
  };
  LinearIds linear(const std::vector<Part>& parts, i64 inputs, bool bias, double deviation) {
    LinearIds ids{.weight = registry_.size(), .bias = kNone, .parts = static_cast<i64>(parts.size())};
    for (const Part& p : parts) add(p.name + ".weight", {p.rows, inputs}, init_normal(deviation));
    if (bias) {
      ids.bias = registry_.size();
      for (const Part& p : parts) add(p.name + ".bias", {p.rows}, init_zeros());
    }
    return ids;
  }

 private:
  ParameterRegistry& registry_;
  std::string part_;
  bool used_;
};

// Initial deviations as transformers' CLIPPreTrainedModel sets them.
VisionIds register_vision(const ModelConfig& config, ParameterRegistry& registry) {
  const VisionConfig& v = config.vision;
  const std::string root = "vision_tower.vision_model.";
  const double width = static_cast<double>(v.width);
  const double in_deviation =
      std::pow(width, -0.5) * std::pow(2.0 * static_cast<double>(v.layers), -0.5) * v.initializer_factor;
  const double out_deviation = std::pow(width, -0.5) * v.initializer_factor;
  const double fc_deviation = std::pow(2 * width, -0.5) * v.initializer_factor;
  VisionIds ids;
  Names names(registry, "vision", true);
  ids.class_embedding = names.add(root + "embeddings.class_embedding", {v.width}, init_normal(out_deviation));
  ids.patch = names.add(root + "embeddings.patch_embedding.weight", {v.width, 3, v.patch, v.patch},
                        init_normal(v.initializer_range * v.initializer_factor));
  ids.position = names.add(root + "embeddings.position_embedding.weight", {v.rows(), v.width},
                           init_normal(v.initializer_range * v.initializer_factor));
  ids.pre_norm = names.layer_norm(root + "pre_layrnorm", v.width);
  for (i64 i = 0; i < v.layers; ++i) {
    const bool runs = i < config.vision_blocks_run();
    Names block_names(registry, "vision", runs);
    const std::string block = fmt::format("{}encoder.layers.{}.", root, i);
    BlockIds b;
    b.attention_norm = block_names.layer_norm(block + "layer_norm1", v.width);
    b.qkv = block_names.linear({{block + "self_attn.q_proj", v.width},
                                {block + "self_attn.k_proj", v.width},
                                {block + "self_attn.v_proj", v.width}},
                               v.width, true, in_deviation);
    b.out = block_names.linear({{block + "self_attn.out_proj", v.width}}, v.width, true, out_deviation);
    b.mlp_norm = block_names.layer_norm(block + "layer_norm2", v.width);
    b.up = block_names.linear({{block + "mlp.fc1", v.intermediate}}, v.width, true, fc_deviation);
    b.down = block_names.linear({{block + "mlp.fc2", v.width}}, v.intermediate, true, in_deviation);
    if (runs) ids.blocks.push_back(b);
  }
  // LLaVA takes hidden states before the tower's last norm: it never runs.
  Names(registry, "vision", false).layer_norm(root + "post_layernorm", v.width);
  return ids;
}

ConnectorIds register_connector(const ModelConfig& config, ParameterRegistry& registry) {
  Names names(registry, "connector", true);
  const double deviation = config.text.initializer_range;
  ConnectorIds ids;
  ids.first = names.linear({{"multi_modal_projector.linear_1", config.text.width}}, config.connector_input(),
                           config.connector.bias, deviation);
  ids.second = names.linear({{"multi_modal_projector.linear_2", config.text.width}}, config.text.width,
                            config.connector.bias, deviation);
  return ids;
}

LanguageIds register_language(const ModelConfig& config, ParameterRegistry& registry) {
  const TextConfig& t = config.text;
  const std::string root = "language_model.model.";
  const double deviation = t.initializer_range;
  Names names(registry, "language", true);
  LanguageIds ids;
  ids.embedding = names.add(root + "embed_tokens.weight", {t.vocab, t.width}, init_normal(deviation));
  for (i64 i = 0; i < t.layers; ++i) {
    const std::string block = fmt::format("{}layers.{}.", root, i);
    BlockIds b;
    b.attention_norm = names.rms_norm(block + "input_layernorm", t.width);
    b.qkv = names.linear({{block + "self_attn.q_proj", t.heads * t.head_width},
                          {block + "self_attn.k_proj", t.kv_heads * t.head_width},
                          {block + "self_attn.v_proj", t.kv_heads * t.head_width}},
                         t.width, t.attention_bias, deviation);
    b.out = names.linear({{block + "self_attn.o_proj", t.width}}, t.heads * t.head_width, t.attention_bias,
                         deviation);
    b.mlp_norm = names.rms_norm(block + "post_attention_layernorm", t.width);
    b.up = names.linear({{block + "mlp.gate_proj", t.intermediate}, {block + "mlp.up_proj", t.intermediate}},
                        t.width, t.mlp_bias, deviation);
    b.down = names.linear({{block + "mlp.down_proj", t.width}}, t.intermediate, t.mlp_bias, deviation);
    ids.blocks.push_back(b);
  }
  ids.final_norm = names.rms_norm(root + "norm", t.width);
  ids.head = t.tied ? ids.embedding
                    : names.add("language_model.lm_head.weight", {t.vocab, t.width}, init_normal(deviation));
  return ids;
}

}  // namespace

ModelIds register_parameters(const ModelConfig& config, ParameterRegistry& registry) {
  ModelIds ids;
  ids.vision = register_vision(config, registry);
  ids.connector = register_connector(config, registry);
  ids.language = register_language(config, registry);
  return ids;
}

}  // namespace longsight::model
