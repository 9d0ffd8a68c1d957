#include "model/families/text_models.h"

#include <cmath>
#include <numeric>

#include "runtime/base/json.h"

namespace longsight::model {
namespace {

void read_sections(RopeConfig& rope, ConfigReader& r, i64 half) {
  const Json* sections = r.raw("mrope_section");
  if (sections == nullptr) return;
  require(sections->is_array() && sections->size() == 3, ExitCode::bad_data,
          "{}: mrope_section must be a list of three integers, not {}", r.where(), sections->dump());
  for (const Json& count : *sections) {
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

RopeConfig read_rope(ConfigReader& text, const TextConfig& t, double class_theta) {
  RopeConfig rope;
  rope.theta = text.number("rope_theta", class_theta);
  ConfigReader r = text.object(text.rope_key());
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
void read_window(ConfigReader& r, const TextRow& row, TextConfig& t) {
  using Windows = TextRow::Windows;
  const Json* types = r.raw("layer_types");
  const bool off = r.is_null("sliding_window"), some = row.windows == Windows::upper_blocks;
  const bool used =
      !off && (row.windows == Windows::every_block || (some && r.boolean("use_sliding_window")));
  r.ignore({"sliding_window", "use_sliding_window", "max_window_layers"});
  if (!used) {
    const bool full =
        types == nullptr || !types->is_array() ||
        std::all_of(types->begin(), types->end(), [](const Json& type) { return type == "full_attention"; });
    require(full, ExitCode::bad_data,
            "{}: layer_types {} is not supported where no window is in force (sliding_window, "
            "use_sliding_window)",
            r.where(), types == nullptr ? "" : types->dump());
    return;
  }
  t.window = r.positive("sliding_window");
  t.first_windowed_block = some ? r.integer("max_window_layers") : 0;
  // A class without this key has its window in every block, whatever a file says.
  if (types == nullptr || !row.defaults.contains("layer_types")) return;
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

TextNames names_at(const TextNames& own, const TextPlace& place) {
  TextNames n = own;
  n.embedding = place.model + own.embedding;
  n.blocks = place.model + own.blocks;
  n.final_norm = place.model + own.final_norm;
  n.head = place.head + own.head;
  return n;
}

i64 read_head_width(ConfigReader& r, const TextRow& row, const TextConfig& t) {
  if (row.own_head_width && r.raw("head_dim") != nullptr) return r.positive("head_dim");
  require(t.width % t.heads == 0, ExitCode::bad_data,
          "{}: hidden_size {} is not a multiple of num_attention_heads {}", r.where(), t.width, t.heads);
  const i64 width = t.width / t.heads;
  if (!row.own_head_width)
    r.refuse_unless("head_dim", width, "heads of this model are hidden_size / num_attention_heads wide");
  return width;
}

ops::Activation read_activation(ConfigReader& r, const TextRow& row) {
  const char* key = row.gelu_is_tanh && r.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  r.ignore({"hidden_activation", "hidden_act"});
  const std::string name = r.text(key);
  return ops::activation_from_hf(row.gelu_is_tanh && name == "gelu" ? "gelu_pytorch_tanh" : name,
                                 r.where() + ": " + key);
}

void check_heads(ConfigReader& r, const TextConfig& t) {
  require(t.heads % t.kv_heads == 0, ExitCode::bad_data,
          "{}: num_attention_heads {} is not a multiple of num_key_value_heads {}", r.where(), t.heads,
          t.kv_heads);
  require(t.head_width % 2 == 0, ExitCode::bad_data,
          "{}: head_dim {} is odd: rotary embedding turns pairs of channels", r.where(), t.head_width);
}

}  // namespace

const TextRow& text_inside(ConfigReader& r, const char* fallback, const char* family,
                           const std::string& allowed) {
  const std::string type = r.text("model_type", fallback);
  const TextRow* row = find_text_row(type);
  const bool fits = row != nullptr && (allowed.empty() ? row->alone : row->type() == allowed);
  require(fits, ExitCode::bad_data, "{}: model_type \"{}\" is not supported inside of {} (supported: {})",
          r.where(), type, family, allowed.empty() ? known_text_models() : allowed);
  return *row;
}

TextConfig read_text(ConfigReader& r, const TextRow& row, const TextPlace& place,
                     std::vector<std::string>& warnings) {
  r.assume(row.defaults);
  TextConfig t = row.fixed;
  t.type = row.type();
  t.vocab = r.positive("vocab_size");
  t.width = r.positive("hidden_size");
  t.intermediate = r.positive("intermediate_size");
  t.layers = r.positive("num_hidden_layers");
  t.heads = r.positive("num_attention_heads");
  t.kv_heads = r.positive("num_key_value_heads", t.heads);
  t.max_positions = r.positive("max_position_embeddings");
  t.head_width = read_head_width(r, row, t);
  check_heads(r, t);
  t.eps = r.number("rms_norm_eps");
  t.activation = read_activation(r, row);
  if (!row.attention_bias.empty()) t.qkv_bias = t.out_bias = r.boolean(row.attention_bias);
  if (!row.output_bias.empty()) t.out_bias = r.boolean(row.output_bias);
  if (!row.mlp_bias.empty()) t.mlp_bias = r.boolean(row.mlp_bias);
  for (const auto& [key, only] : row.refused.items())
    r.refuse_unless(key, only, fmt::format("{} models are not computed so", row.type()));
  if (row.scaled_embedding) t.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(t.width)));
  t.tied = r.boolean("tie_word_embeddings", false);
  t.initializer_range = r.number("initializer_range");
  t.rope = read_rope(r, t, row.rope_theta);
  read_window(r, row, t);
  t.names = names_at(row.fixed.names, place);
  for (const std::string& rate : row.dropout) r.note_dropout(rate, warnings);
  // pretraining_tp splits the same products into parts; current transformers ignores it as well.
  r.ignore({"bos_token_id", "eos_token_id", "pad_token_id", "pretraining_tp", "use_cache", "torch_dtype",
            "dtype", "architectures", "transformers_version", "_name_or_path", "attn_implementation",
            "_attn_implementation_autoset", "auto_map", "model_type"});
  return t;
}

}  // namespace longsight::model
