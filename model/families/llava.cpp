#include "model/families/llava.h"

#include <cmath>

#include "model/config_reader.h"

namespace longsight::model {
namespace {

using nlohmann::json;

void note_dropout(ConfigReader& reader, const char* key, std::vector<std::string>& warnings) {
  if (const double rate = reader.number(key, 0); rate != 0) {
    warnings.push_back(fmt::format("{}: {} = {} is not applied", reader.where(), key, rate));
  }
}

void append(std::vector<std::string>& to, const std::vector<std::string>& keys) {
  for (const std::string& key : keys)
    to.push_back(key + " is not known; it is carried over and changes nothing");
}

i64 positive(ConfigReader& reader, const char* key, i64 fallback) {
  const i64 value = reader.integer(key, fallback);
  require(value > 0, ExitCode::bad_data, "{}: {} = {} must be positive", reader.where(), key, value);
  // The product of any two fits into 64 bits.
  require(value < i64{1} << 31, ExitCode::bad_data, "{}: {} = {} is larger than any model has it",
          reader.where(), key, value);
  return value;
}

VisionConfig read_clip(ConfigReader& r, bool whole_object_absent, std::vector<std::string>& warnings) {
  r.refuse_unless("model_type", "clip_vision_model",
                  "LLaVA with this vision tower is not available yet (available: clip_vision_model)");
  VisionConfig v;
  // A wholly absent vision_config means CLIP ViT-L/14-336; a present one starts from the defaults of its
  // class.
  v.width = positive(r, "hidden_size", whole_object_absent ? 1024 : 768);
  v.intermediate = positive(r, "intermediate_size", whole_object_absent ? 4096 : 3072);
  v.layers = positive(r, "num_hidden_layers", whole_object_absent ? 24 : 12);
  v.heads = positive(r, "num_attention_heads", whole_object_absent ? 16 : 12);
  v.image_size = positive(r, "image_size", whole_object_absent ? 336 : 224);
  v.patch = positive(r, "patch_size", whole_object_absent ? 14 : 32);
  v.eps = r.number("layer_norm_eps", 1e-5);
  v.activation = ops::activation_from_hf(r.text("hidden_act", "quick_gelu"), r.where() + ": hidden_act");
  v.initializer_range = r.number("initializer_range", 0.02);
  v.initializer_factor = r.number("initializer_factor", 1);
  r.refuse_unless("num_channels", 3, "pictures have three channels");
  note_dropout(r, "attention_dropout", warnings);
  require(v.width % v.heads == 0, ExitCode::bad_data,
          "{}: hidden_size {} is not a multiple of num_attention_heads {}", r.where(), v.width, v.heads);
  require(v.image_size >= v.patch, ExitCode::bad_data, "{}: image_size {} is smaller than patch_size {}",
          r.where(), v.image_size, v.patch);
  r.ignore({"projection_dim", "torch_dtype", "dtype", "architectures", "transformers_version", "vocab_size",
            "dropout", "_name_or_path"});
  append(warnings, r.unread());
  return v;
}

RopeConfig read_rope(ConfigReader& text) {
  RopeConfig rope;
  rope.theta = text.number("rope_theta", 10000);
  // transformers 5 writes rope_parameters, older versions rope_theta and rope_scaling.
  const bool new_form = text.has("rope_parameters");
  ConfigReader r = text.object(new_form ? "rope_parameters" : "rope_scaling");
  text.ignore({"rope_parameters", "rope_scaling"});
  rope.theta = r.number("rope_theta", rope.theta);
  require(rope.theta > 0 && std::isfinite(rope.theta), ExitCode::bad_data,
          "{}: rope_theta = {} must be positive", r.where(), rope.theta);
  const std::string type = r.text("rope_type", r.text("type", "default"));
  r.refuse_unless("partial_rotary_factor", 1.0, "every channel of a head is rotated");
  if (type == "default") return rope;
  require(type == "linear" || type == "llama3", ExitCode::bad_data,
          "{}: rope type \"{}\" is not available yet (available: default, linear, llama3)", r.where(), type);
  rope.scaling = type == "linear" ? RopeConfig::Scaling::linear : RopeConfig::Scaling::llama3;
  rope.factor = r.number("factor", 0);
  require(rope.factor >= 1, ExitCode::bad_data, "{}: factor = {} must be at least 1", r.where(), rope.factor);
  if (type == "llama3") {
    rope.low_freq_factor = r.number("low_freq_factor", 1);
    rope.high_freq_factor = r.number("high_freq_factor", 4);
    rope.original_positions = positive(r, "original_max_position_embeddings", 8192);
  }
  const auto rest = r.unread();
  require(rest.empty(), ExitCode::bad_data, "{} is not supported", rest.empty() ? "" : rest.front());
  return rope;
}

TextConfig read_llama(ConfigReader& r, std::vector<std::string>& warnings) {
  r.refuse_unless("model_type", "llama",
                  "LLaVA with this language model is not available yet (available: llama)");
  TextConfig t;
  t.vocab = positive(r, "vocab_size", 32000);
  t.width = positive(r, "hidden_size", 4096);
  t.intermediate = positive(r, "intermediate_size", 11008);
  t.layers = positive(r, "num_hidden_layers", 32);
  t.heads = positive(r, "num_attention_heads", 32);
  t.kv_heads = positive(r, "num_key_value_heads", t.heads);
  t.max_positions = positive(r, "max_position_embeddings", 2048);
  require(t.heads % t.kv_heads == 0, ExitCode::bad_data,
          "{}: num_attention_heads {} is not a multiple of num_key_value_heads {}", r.where(), t.heads,
          t.kv_heads);
  if (!r.has("head_dim")) {
    require(t.width % t.heads == 0, ExitCode::bad_data,
            "{}: hidden_size {} is not a multiple of num_attention_heads {}", r.where(), t.width, t.heads);
  }
  t.head_width = positive(r, "head_dim", t.width / t.heads);
  require(t.head_width % 2 == 0, ExitCode::bad_data,
          "{}: head_dim {} is odd: rotary embedding turns pairs of channels", r.where(), t.head_width);
  t.eps = r.number("rms_norm_eps", 1e-6);
  t.activation = ops::activation_from_hf(r.text("hidden_act", "silu"), r.where() + ": hidden_act");
  t.attention_bias = r.boolean("attention_bias", false);
  t.mlp_bias = r.boolean("mlp_bias", false);
  t.tied = r.boolean("tie_word_embeddings", false);
  t.initializer_range = r.number("initializer_range", 0.02);
  t.rope = read_rope(r);
  note_dropout(r, "attention_dropout", warnings);
  // pretraining_tp splits the same products into parts; current transformers ignores it as well.
  r.ignore({"bos_token_id", "eos_token_id", "pad_token_id", "pretraining_tp", "use_cache", "torch_dtype",
            "dtype", "architectures", "transformers_version", "_name_or_path"});
  append(warnings, r.unread());
  return t;
}

// Index into [input of block 1, output of block 1, ...], from a Python index that may be negative.
i64 hidden_state_index(i64 index, i64 layers, const std::string& where) {
  const i64 state = index < 0 ? layers + 1 + index : index;
  require(state >= 0 && state <= layers, ExitCode::bad_data,
          "{}: vision_feature_layer {} of a tower with {} layers", where, index, layers);
  return state;
}

std::vector<i64> read_feature_layers(ConfigReader& r, i64 layers) {
  const json* value = r.raw("vision_feature_layer");
  if (value == nullptr) return {hidden_state_index(-2, layers, r.where())};
  std::vector<i64> states;
  for (const json& item : value->is_array() ? *value : json::array({*value})) {
    require(item.is_number_integer(), ExitCode::bad_data,
            "{}: vision_feature_layer must be an integer or a list of integers, not {}", r.where(),
            value->dump());
    states.push_back(hidden_state_index(item.get<i64>(), layers, r.where()));
  }
  require(!states.empty(), ExitCode::bad_data, "{}: vision_feature_layer is an empty list", r.where());
  return states;
}

}  // namespace

ModelConfig read_llava_config(const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  ConfigReader r(file, path);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("text_config");
  config.vision = read_clip(vision, !r.has("vision_config"), config.warnings);
  config.text = read_llama(text, config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings", false) || config.text.tied;
  config.image_token = r.integer("image_token_index", r.integer("image_token_id", 32000));
  require(config.image_token >= 0 && config.image_token < config.text.vocab, ExitCode::bad_data,
          "{}: image_token_index {} is outside the vocabulary of {}", path, config.image_token,
          config.text.vocab);
  config.connector.feature_layers = read_feature_layers(r, config.vision.layers);
  const std::string strategy = r.text("vision_feature_select_strategy", "default");
  require(strategy == "default" || strategy == "full", ExitCode::bad_data,
          "{}: vision_feature_select_strategy \"{}\" is neither default nor full", path, strategy);
  config.connector.drop_first_row = strategy == "default";
  config.connector.bias = r.boolean("multimodal_projector_bias", true);
  config.connector.activation =
      ops::activation_from_hf(r.text("projector_hidden_act", "gelu"), path + ": projector_hidden_act");
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "image_seq_length",
            "pad_token_id", "bos_token_id", "eos_token_id", "ignore_index", "vocab_size", "_name_or_path",
            "image_token_id"});
  append(config.warnings, r.unread());
  return config;
}

std::string canonical_llava_name(const std::string& name) {
  const auto starts = [](const std::string& s, std::string_view prefix) { return s.rfind(prefix, 0) == 0; };
  std::string n = name;
  if (starts(n, "model.language_model.")) n = "language_model.model." + n.substr(21);
  if (starts(n, "lm_head.")) n = "language_model." + n;
  if (starts(n, "model.vision_tower.") || starts(n, "model.multi_modal_projector.")) n = n.substr(6);
  if (starts(n, "vision_tower.") && !starts(n, "vision_tower.vision_model."))
    n = "vision_tower.vision_model." + n.substr(13);
  return n;
}

}  // namespace longsight::model
