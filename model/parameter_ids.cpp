#include "model/parameter_ids.h"

#include <cmath>

namespace longsight::model {
namespace {

// Adds parameters of one part and unit.
class Names {
 public:
  Names(ParameterRegistry& registry, std::string part, std::string unit, bool used = true)
      : registry_(registry), part_(std::move(part)), unit_(std::move(unit)), used_(used) {}

  ParameterId add(const std::string& name, Shape shape, Init init) {
    return registry_.add(
        {.name = name, .shape = shape, .part = part_, .init = init, .unit = unit_, .used = used_});
  }
  NormIds norm(const std::string& name, i64 width, bool rms) {
    const ParameterId gain = add(name + ".weight", {width}, init_ones());
    return {.gain = gain, .bias = rms ? kNone : add(name + ".bias", {width}, init_zeros())};
  }
  NormIds norm_plus_one(const std::string& name, i64 width) {
    return {.gain = add(name + ".weight", {width}, init_zeros()), .bias = kNone, .plus_one = true};
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
  LinearIds qkv(const std::string& block, const BlockNames& n, i64 q_rows, i64 kv_rows, i64 inputs, bool bias,
                double deviation) {
    if (!n.qkv.empty()) return linear({{block + n.qkv, q_rows + 2 * kv_rows}}, inputs, bias, deviation);
    return linear({{block + n.q, q_rows}, {block + n.k, kv_rows}, {block + n.v, kv_rows}}, inputs, bias,
                  deviation);
  }
  LinearIds up(const std::string& block, const BlockNames& n, i64 rows, i64 inputs, bool bias,
               double deviation) {
    if (n.gate.empty()) return linear({{block + n.up, rows}}, inputs, bias, deviation);
    return linear({{block + n.gate, rows}, {block + n.up, rows}}, inputs, bias, deviation);
  }

 private:
  ParameterRegistry& registry_;
  std::string part_, unit_;
  bool used_;
};

// Initial deviations of the matrices of a vision block.
struct VisionDeviations {
  double embedding, in, out, fc;
};

VisionDeviations vision_deviations(const VisionConfig& v) {
  if (v.init == VisionConfig::Init::plain)
    return {v.initializer_range, v.initializer_range, v.initializer_range, v.initializer_range};
  // As transformers' CLIPPreTrainedModel sets them.
  const double width = static_cast<double>(v.width), layers = static_cast<double>(v.layers);
  return {.embedding = v.initializer_range * v.initializer_factor,
          .in = std::pow(width, -0.5) * std::pow(2.0 * layers, -0.5) * v.initializer_factor,
          .out = std::pow(width, -0.5) * v.initializer_factor,
          .fc = std::pow(2 * width, -0.5) * v.initializer_factor};
}

BlockIds register_vision_block(const VisionConfig& v, const std::string& block, Names& names,
                               const VisionDeviations& deviation) {
  const BlockNames& n = v.names.block;
  BlockIds b;
  b.attention_norm = names.norm(block + n.attention_norm, v.width, v.rms);
  b.qkv = names.qkv(block, n, v.width, v.width, v.width, v.qkv_bias, deviation.in);
  if (v.qk_norm) {
    b.q_norm = names.norm(block + n.q_norm, v.width, true);
    b.k_norm = names.norm(block + n.k_norm, v.width, true);
  }
  b.out = names.linear({{block + n.out, v.width}}, v.width, true, deviation.out);
  b.mlp_norm = names.norm(block + n.mlp_norm, v.width, v.rms);
  b.up = names.up(block, n, v.intermediate, v.width, true, deviation.fc);
  b.down = names.linear({{block + n.down, v.width}}, v.intermediate, true, deviation.in);
  if (v.layer_scale) {
    const Init init = init_constant(v.layer_scale_init);
    b.out.scale = names.add(block + n.attention_scale, {v.width}, init);
    b.down.scale = names.add(block + n.mlp_scale, {v.width}, init);
  }
  return b;
}

// post_norm is given apart: it belongs to the tower by name and is applied by the connector.
VisionIds register_vision(const ModelConfig& config, ParameterRegistry& registry, NormIds& post_norm) {
  const VisionConfig& v = config.vision;
  const VisionNames& n = v.names;
  VisionIds ids;
  if (!config.has_vision()) return ids;
  const VisionDeviations deviation = vision_deviations(v);
  Names names(registry, "vision", "vision.embedding");
  const auto batched = [&](Shape plain) {
    if (!v.batched_embeddings) return plain;
    return plain.rank() == 1 ? Shape{1, 1, plain[0]} : Shape{1, plain[0], plain[1]};
  };
  if (v.class_row)
    ids.class_row = names.add(n.root + n.class_row, batched({v.width}), init_normal(deviation.out));
  ids.patch.weight = names.add(
      n.root + n.patch + ".weight",
      v.temporal > 1 ? Shape{v.width, 3, v.temporal, v.patch, v.patch} : Shape{v.width, 3, v.patch, v.patch},
      init_normal(deviation.embedding));
  if (v.patch_bias) ids.patch.bias = names.add(n.root + n.patch + ".bias", {v.width}, init_zeros());
  if (v.positions != VisionConfig::Positions::none) {
    ids.position = names.add(n.root + n.position, batched({v.position_rows(), v.width}),
                             init_normal(deviation.embedding));
  }
  if (v.pre_norm) ids.pre_norm = names.norm(n.root + n.pre_norm, v.width, v.rms);
  for (i64 i = 0; i < v.layers; ++i) {
    const bool runs = i < config.vision_blocks_run();
    Names block_names(registry, "vision", fmt::format("vision.{}", i), runs);
    const BlockIds block = register_vision_block(v, n.block_root(i), block_names, deviation);
    if (runs) ids.blocks.push_back(block);
  }
  const bool norm_used = config.connector.row_norm && !config.connector.own_row_norm;
  if (v.post_norm)
    post_norm = Names(registry, "vision", norm_used ? "connector" : "vision.unused", norm_used)
                    .norm(n.root + n.post_norm, v.width, false);
  if (!norm_used) post_norm = {};
  Names carried(registry, "vision", "vision.unused", false);
  for (const CarriedTensor& tensor : v.carried)
    carried.add(tensor.name, tensor.shape, init_normal(v.initializer_range));
  return ids;
}

ConnectorIds register_connector(const ModelConfig& config, ParameterRegistry& registry,
                                const NormIds& post_norm) {
  const ConnectorConfig& c = config.connector;
  ConnectorIds ids{.row_norm = post_norm, .joined_norm = {}, .first = {}, .second = {}};
  if (!config.has_vision()) return ids;
  Names names(registry, "connector", "connector");
  const double deviation = config.text.initializer_range;
  if (c.own_row_norm) ids.row_norm = names.norm(c.row_norm_name, config.vision.width, config.vision.rms);
  if (c.joined_norm) ids.joined_norm = names.norm(c.joined_norm_name, config.connector_input(), false);
  ids.first = names.linear({{c.first_name, c.middle > 0 ? c.middle : config.text.width}},
                           config.connector_input(), c.bias, deviation);
  if (c.middle > 0)
    ids.second = names.linear({{c.second_name, config.text.width}}, c.middle, c.bias, deviation);
  return ids;
}

LanguageIds register_language(const ModelConfig& config, ParameterRegistry& registry) {
  const TextConfig& t = config.text;
  const BlockNames& n = t.names.block;
  const double deviation = t.initializer_range;
  const auto norm = [&](Names& names, const std::string& name, i64 width) {
    return t.norm_plus_one ? names.norm_plus_one(name, width) : names.norm(name, width, true);
  };
  LanguageIds ids;
  ids.embedding = Names(registry, "language", "language.embedding")
                      .add(t.names.embedding + ".weight", {t.vocab, t.width}, init_normal(deviation));
  for (i64 i = 0; i < t.layers; ++i) {
    const std::string block = fmt::format("{}.{}.", t.names.blocks, i);
    const i64 q_rows = t.heads * t.head_width, kv_rows = t.kv_heads * t.head_width;
    Names names(registry, "language", fmt::format("language.{}", i));
    BlockIds b;
    b.attention_norm = norm(names, block + n.attention_norm, t.width);
    b.qkv = names.qkv(block, n, q_rows, kv_rows, t.width, t.qkv_bias, deviation);
    if (t.head_norms) {
      b.q_norm = norm(names, block + n.q_norm, t.head_width);
      b.k_norm = norm(names, block + n.k_norm, t.head_width);
    }
    b.out = names.linear({{block + n.out, t.width}}, q_rows, t.out_bias, deviation);
    b.mlp_norm = norm(names, block + n.mlp_norm, t.width);
    b.up = names.up(block, n, t.intermediate, t.width, t.mlp_bias, deviation);
    b.down = names.linear({{block + n.down, t.width}}, t.intermediate, t.mlp_bias, deviation);
    ids.blocks.push_back(b);
  }
  Names head(registry, "language", "language.head");
  ids.final_norm = norm(head, t.names.final_norm, t.width);
  ids.head =
      t.tied ? ids.embedding : head.add(t.names.head + ".weight", {t.vocab, t.width}, init_normal(deviation));
  return ids;
}

}  // namespace

ModelIds register_parameters(const ModelConfig& config, ParameterRegistry& registry) {
  ModelIds ids;
  NormIds post_norm;
  ids.vision = register_vision(config, registry, post_norm);
  ids.connector = register_connector(config, registry, post_norm);
  ids.language = register_language(config, registry);
  return ids;
}

std::vector<i64> file_row_order(const ModelConfig& config, const Parameter& p) {
  const TextConfig& t = config.text;
  if (!t.interleaved_qkv || p.part != "language" ||
      !(p.name.ends_with(t.names.block.qkv + ".weight") || p.name.ends_with(t.names.block.qkv + ".bias")))
    return {};
  // The file has, KV head by KV head, its query heads, then k, then v.
  const i64 group = t.heads / t.kv_heads, d = t.head_width;
  std::vector<i64> order;
  const auto head = [&](i64 kv, i64 index) {
    for (i64 i = 0; i < d; ++i) order.push_back((kv * (group + 2) + index) * d + i);
  };
  for (i64 h = 0; h < t.heads; ++h) head(h / group, h % group);
  for (i64 kv = 0; kv < t.kv_heads; ++kv) head(kv, group);
  for (i64 kv = 0; kv < t.kv_heads; ++kv) head(kv, group + 1);
  return order;
}

}  // namespace longsight::model
