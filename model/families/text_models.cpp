#include "model/families/text_models.h"

#include <cmath>
#include <numeric>

namespace longsight::model {
namespace {

using nlohmann::json;

// What the configuration class of a model type assumes where a key is absent.
struct Defaults {
  i64 vocab, width, intermediate, layers, heads, kv_heads;  // kv_heads 0: as many as heads
  i64 max_positions;
  double eps, theta;
  const char* activation = "silu";
  i64 head_width = 0;  // 0: width / heads
  bool tied = false;
};

Defaults defaults_of(TextKind kind) {
  switch (kind) {
    case TextKind::llama:
      return {32000, 4096, 11008, 32, 32, 0, 2048, 1e-6, 1e4};
    case TextKind::mistral:
      return {32000, 4096, 14336, 32, 32, 8, 131072, 1e-6, 1e4};
    case TextKind::qwen2:
      return {151936, 4096, 22016, 32, 32, 32, 32768, 1e-6, 1e4};
    case TextKind::qwen2_vl:
      return {152064, 8192, 29568, 80, 64, 8, 32768, 1e-5, 1e6};
    case TextKind::gemma:
      return {256000, 3072, 24576, 28, 16, 16, 8192, 1e-6, 1e4, "gelu_pytorch_tanh", 256, true};
    case TextKind::internlm2:
      return {103168, 4096, 11008, 32, 32, 0, 2048, 1e-6, 1e4};
  }
  fail(ExitCode::internal, "no text model {}", static_cast<int>(kind));
}

void read_sections(RopeConfig& rope, ConfigReader& r, i64 half) {
  const json* sections = r.raw("mrope_section");
  if (sections == nullptr) return;
  require(sections->is_array() && sections->size() == 3, ExitCode::bad_data,
          "{}: mrope_section must be a list of three integers, not {}", r.where(), sections->dump());
  for (const json& count : *sections) {
    require(count.is_number_integer() && count.get<i64>() >= 0, ExitCode::bad_data,
            "{}: mrope_section {} holds something else than counts", r.where(), sections->dump());
    rope.sections.push_back(count.get<i64>());
  }
  const i64 sum = std::accumulate(rope.sections.begin(), rope.sections.end(), i64{0});
  require(sum == half, ExitCode::bad_data,
          "{}: mrope_section {} has {} frequencies together, but half a head has {}", r.where(),
          sections->dump(), sum, half);
}

void read_yarn(RopeConfig& rope, ConfigReader& r, const TextConfig& t) {
  rope.scaling = RopeConfig::Scaling::yarn;
  rope.original_positions = r.positive("original_max_position_embeddings", t.max_positions);
  rope.beta_fast = r.number("beta_fast", 32);
  rope.beta_slow = r.number("beta_slow", 1);
  r.refuse_unless("truncate", true, "correction ranges are whole dimensions");
  r.refuse_unless("mscale", nullptr, "mscale belongs to other models");
  r.refuse_unless("mscale_all_dim", nullptr, "mscale belongs to other models");
  const double usual = rope.factor <= 1 ? 1.0 : 0.1 * std::log(rope.factor) + 1.0;
  rope.attention_factor = r.number("attention_factor", usual);
}

RopeConfig read_rope(ConfigReader& text, const TextConfig& t, double default_theta) {
  RopeConfig rope;
  rope.theta = text.number("rope_theta", default_theta);
  // transformers 5 writes rope_parameters, older versions rope_theta and rope_scaling.
  const bool new_form = text.has("rope_parameters");
  ConfigReader r = text.object(new_form ? "rope_parameters" : "rope_scaling");
  text.ignore({"rope_parameters", "rope_scaling"});
  rope.theta = r.number("rope_theta", rope.theta);
  require(rope.theta > 0 && std::isfinite(rope.theta), ExitCode::bad_data,
          "{}: rope_theta = {} must be positive", r.where(), rope.theta);
  // Files may hold both names; an old "mrope" beside a new "default" means the same.
  const std::string old_type = r.text("type", "default"), type = r.text("rope_type", old_type);
  r.refuse_unless("partial_rotary_factor", 1.0, "every channel of a head is rotated");
  read_sections(rope, r, t.head_width / 2);
  if (type == "default" || type == "mrope") {
    require(type == "default" || !rope.sections.empty(), ExitCode::bad_data,
            "{}: type mrope without mrope_section", r.where());
  } else {
    require(
        type == "linear" || type == "llama3" || type == "dynamic" || type == "yarn", ExitCode::bad_data,
        "{}: rope type \"{}\" is not supported (supported: default, linear, dynamic, llama3, yarn, mrope)",
        r.where(), type);
    rope.factor = r.number("factor", 0);
    require(rope.factor >= 1, ExitCode::bad_data, "{}: factor = {} must be at least 1", r.where(),
            rope.factor);
    if (type == "linear") rope.scaling = RopeConfig::Scaling::linear;
    if (type == "dynamic") {
      rope.scaling = RopeConfig::Scaling::dynamic;
      rope.original_positions = t.max_positions;
      r.ignore({"original_max_position_embeddings"});
    }
    if (type == "llama3") {
      rope.scaling = RopeConfig::Scaling::llama3;
      rope.low_freq_factor = r.number("low_freq_factor", 1);
      rope.high_freq_factor = r.number("high_freq_factor", 4);
      rope.original_positions = r.positive("original_max_position_embeddings", 8192);
    }
    if (type == "yarn") read_yarn(rope, r, t);
  }
  const auto rest = r.unread();
  require(rest.empty(), ExitCode::bad_data, "{} is not supported", rest.empty() ? "" : rest.front());
  return rope;
}

// Which blocks see a window only.
void read_window(ConfigReader& r, TextKind kind, TextConfig& t) {
  const bool off = r.is_null("sliding_window");
  const i64 width = r.integer("sliding_window", 4096);
  const bool used = kind == TextKind::mistral ? !off
                                              : (kind == TextKind::qwen2 || kind == TextKind::qwen2_vl) &&
                                                    r.boolean("use_sliding_window", false) && !off;
  const i64 below = r.integer("max_window_layers", kind == TextKind::qwen2_vl ? 80 : 28);
  const json* types = r.raw("layer_types");
  if (!used) {
    // A list of layer types without a window in force changes nothing.
    return;
  }
  require(width > 0, ExitCode::bad_data, "{}: sliding_window = {} must be positive", r.where(), width);
  t.window = width;
  t.first_windowed_block = kind == TextKind::mistral ? 0 : below;
  if (types == nullptr) return;
  require(types->is_array() && static_cast<i64>(types->size()) == t.layers, ExitCode::bad_data,
          "{}: layer_types has {} entries for {} layers", r.where(), types->size(), t.layers);
  i64 first = t.layers;
  for (i64 i = t.layers; i-- > 0 && (*types)[static_cast<std::size_t>(i)] == "sliding_attention";) first = i;
  for (i64 i = 0; i < first; ++i) {
    require((*types)[static_cast<std::size_t>(i)] == "full_attention", ExitCode::bad_data,
            "{}: layer_types: layer {} is {}; full layers in front of sliding ones are supported", r.where(),
            i, (*types)[static_cast<std::size_t>(i)].dump());
  }
  t.first_windowed_block = first;
}

TextNames names_of(TextKind kind, const std::string& model, const std::string& head) {
  TextNames n;
  n.blocks = model + ".layers";
  n.final_norm = model + ".norm";
  n.head = head;
  if (kind == TextKind::internlm2) {
    n.embedding = model + ".tok_embeddings";
    n.block.attention_norm = "attention_norm";
    n.block.qkv = "attention.wqkv";
    n.block.out = "attention.wo";
    n.block.mlp_norm = "ffn_norm";
    n.block.gate = "feed_forward.w1";
    n.block.up = "feed_forward.w3";
    n.block.down = "feed_forward.w2";
    return n;
  }
  n.embedding = model + ".embed_tokens";
  n.block.attention_norm = "input_layernorm";
  n.block.q = "self_attn.q_proj";
  n.block.k = "self_attn.k_proj";
  n.block.v = "self_attn.v_proj";
  n.block.out = "self_attn.o_proj";
  n.block.mlp_norm = "post_attention_layernorm";
  n.block.gate = "mlp.gate_proj";
  n.block.up = "mlp.up_proj";
  n.block.down = "mlp.down_proj";
  return n;
}

void check_heads(ConfigReader& r, const TextConfig& t) {
  require(t.heads % t.kv_heads == 0, ExitCode::bad_data,
          "{}: num_attention_heads {} is not a multiple of num_key_value_heads {}", r.where(), t.heads,
          t.kv_heads);
  require(t.head_width % 2 == 0, ExitCode::bad_data,
          "{}: head_dim {} is odd: rotary embedding turns pairs of channels", r.where(), t.head_width);
}

}  // namespace

TextKind text_kind(ConfigReader& r, TextKind fallback) {
  const std::string type = r.text("model_type", "");
  if (type.empty()) return fallback;
  if (type == "llama") return TextKind::llama;
  if (type == "mistral") return TextKind::mistral;
  if (type == "qwen2") return TextKind::qwen2;
  if (type == "qwen2_vl" || type == "qwen2_5_vl" || type == "qwen2_vl_text" || type == "qwen2_5_vl_text")
    return TextKind::qwen2_vl;
  if (type == "gemma") return TextKind::gemma;
  if (type == "internlm2") return TextKind::internlm2;
  fail(ExitCode::bad_data,
       "{}: model_type \"{}\" is not supported (llama, mistral, qwen2, gemma, internlm2 are)", r.where(),
       type);
}

TextConfig read_text(ConfigReader& r, TextKind kind, const std::string& model, const std::string& head,
                     std::vector<std::string>& warnings) {
  const Defaults d = defaults_of(kind);
  TextConfig t;
  t.vocab = r.positive("vocab_size", d.vocab);
  t.width = r.positive("hidden_size", d.width);
  t.intermediate = r.positive("intermediate_size", d.intermediate);
  t.layers = r.positive("num_hidden_layers", d.layers);
  t.heads = r.positive("num_attention_heads", d.heads);
  t.kv_heads = r.positive("num_key_value_heads", d.kv_heads > 0 ? d.kv_heads : t.heads);
  t.max_positions = r.positive("max_position_embeddings", d.max_positions);
  // Qwen2 models have no head_dim of their own.
  const bool own_width =
      kind != TextKind::qwen2_vl && kind != TextKind::internlm2 && (r.has("head_dim") || d.head_width > 0);
  if (!own_width) {
    require(t.width % t.heads == 0, ExitCode::bad_data,
            "{}: hidden_size {} is not a multiple of num_attention_heads {}", r.where(), t.width, t.heads);
    if (kind == TextKind::qwen2_vl || kind == TextKind::internlm2)
      r.refuse_unless("head_dim", t.width / t.heads,
                      "heads of this model are hidden_size / num_attention_heads wide");
  }
  t.head_width = own_width ? r.positive("head_dim", d.head_width) : t.width / t.heads;
  check_heads(r, t);
  t.eps = r.number("rms_norm_eps", d.eps);
  const std::string activation = kind == TextKind::gemma && r.has("hidden_activation")
                                     ? r.text("hidden_activation", d.activation)
                                     : r.text("hidden_act", d.activation);
  r.ignore({"hidden_activation", "hidden_act"});
  // Gemma's files say gelu and mean its tanh form.
  t.activation =
      ops::activation_from_hf(kind == TextKind::gemma && activation == "gelu" ? d.activation : activation,
                              r.where() + ": hidden_act");
  switch (kind) {
    case TextKind::llama:
    case TextKind::gemma:
      t.qkv_bias = t.out_bias = r.boolean("attention_bias", false);
      t.mlp_bias = r.boolean("mlp_bias", false);
      break;
    case TextKind::internlm2:
      t.qkv_bias = t.out_bias = r.boolean("bias", false);
      t.interleaved_qkv = true;
      break;
    case TextKind::qwen2:
    case TextKind::qwen2_vl:
      t.qkv_bias = true;
      break;
    case TextKind::mistral:
      r.refuse_unless("attention_bias", false, "Mistral has no biases");
      break;
  }
  if (kind == TextKind::gemma) {
    t.norm_plus_one = true;
    t.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(t.width)));
  }
  t.tied = r.boolean("tie_word_embeddings", d.tied);
  t.initializer_range = r.number("initializer_range", 0.02);
  t.rope = read_rope(r, t, d.theta);
  read_window(r, kind, t);
  t.names = names_of(kind, model, head);
  r.note_dropout("attention_dropout", warnings);
  // pretraining_tp splits the same products into parts; current transformers ignores it as well.
  r.ignore({"bos_token_id", "eos_token_id", "pad_token_id", "pretraining_tp", "use_cache", "torch_dtype",
            "dtype", "architectures", "transformers_version", "_name_or_path", "attn_implementation",
            "_attn_implementation_autoset", "auto_map", "model_type"});
  return t;
}

}  // namespace longsight::model
