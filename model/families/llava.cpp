#include "model/families/llava.h"

#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

std::vector<i64> read_feature_layers(ConfigReader& r, i64 layers) {
  const std::string where = r.where() + ": vision_feature_layer";
  const Json& value = *r.raw("vision_feature_layer");
  std::vector<i64> states;
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    require(item.is_number_integer(), ExitCode::bad_data,
            "{} must be an integer or a list of integers, not {}", where, value.dump());
    states.push_back(hidden_state_index(item.get<i64>(), layers, where));
  }
  require(!states.empty(), ExitCode::bad_data, "{} is an empty list", where);
  return states;
}

bool replace_prefix(std::string& name, std::string_view from, std::string_view to) {
  if (!name.starts_with(from)) return false;
  name = std::string(to) + name.substr(from.size());
  return true;
}

std::string without_vision_model(const std::string& canonical) {
  std::string n = canonical;
  replace_prefix(n, "vision_tower.vision_model.", "vision_tower.");
  return n;
}

ModelConfig read_llava(const Family& family, const Json& file, const std::string& path) {
  ModelConfig config;
  ConfigReader r(file, path);
  r.assume(family.defaults);
  ConfigReader vision = r.object("vision_config", family.absent_vision);
  ConfigReader text = r.object("text_config");
  config.vision = read_tower(vision, {"clip_vision_model", "siglip_vision_model"},
                             "vision_tower.vision_model.", config.warnings);
  vision.note_unread(config.warnings);
  config.text = read_text(text, text_inside(text, "llama", "LLaVA"), {}, config.warnings);
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings") || config.text.tied;
  config.image_token = r.token_id({"image_token_index", "image_token_id"}, config.text.vocab);
  ConnectorConfig& c = config.connector;
  c.feature_layers = read_feature_layers(r, config.vision.layers);
  const std::string strategy = r.text("vision_feature_select_strategy");
  require(strategy == "default" || strategy == "full", ExitCode::bad_data,
          "{}: vision_feature_select_strategy \"{}\" is neither default nor full", path, strategy);
  c.drop_first_row = strategy == "default";
  c.middle = config.text.width;
  c.bias = r.boolean("multimodal_projector_bias");
  c.activation = ops::activation_from_hf(r.text("projector_hidden_act"), path + ": projector_hidden_act");
  c.first_name = "multi_modal_projector.linear_1";
  c.second_name = "multi_modal_projector.linear_2";
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "image_seq_length",
            "pad_token_id", "bos_token_id", "eos_token_id", "ignore_index", "vocab_size", "_name_or_path"});
  r.note_unread(config.warnings);
  return config;
}

Json llava_v5(const Family& family, const ModelConfig& c) {
  Json config = v5_outer(c.source, family.model_type, c.text);
  config.erase("image_token_id");
  config["image_token_index"] = c.image_token;
  const Json vision = part_of(c.source, "vision_config", family.absent_vision);
  config["vision_config"] = v5_vision(vision, vision.value("model_type", "clip_vision_model"));
  const Json text = part_of(c.source, "text_config");
  config["text_config"] = v5_text(text, c.text, text.value("model_type", "llama"));
  return config;
}

}  // namespace

Family llava_family() {
  return {.model_type = "llava",
          .architecture = "LlavaForConditionalGeneration",
          .processor = "LlavaProcessor",
          .chat = "llava",
          .defaults = Json::parse(R"({
            "image_token_index": 32000, "image_seq_length": 576, "projector_hidden_act": "gelu",
            "vision_feature_select_strategy": "default", "vision_feature_layer": -2,
            "multimodal_projector_bias": true, "tie_word_embeddings": false})"),
          // CLIP ViT-L/14 at 336 pixels.
          .absent_vision = Json::parse(R"({
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
            "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768})"),
          .read_config = read_llava,
          .canonical_name = canonical_llava_name,
          .memory_name = memory_llava_name,
          .v5_tensors = v5_llava_tensors,
          .v5_config = llava_v5};
}

std::string canonical_outer_name(const std::string& name_in_file) {
  std::string n = name_in_file;
  if (!replace_prefix(n, "model.language_model.", "language_model.model.") &&
      !replace_prefix(n, "lm_head.", "language_model.lm_head.") &&
      !replace_prefix(n, "model.vision_tower.", "vision_tower."))
    replace_prefix(n, "model.multi_modal_projector.", "multi_modal_projector.");
  return n;
}

std::string canonical_llava_name(const std::string& name_in_file) {
  std::string n = canonical_outer_name(name_in_file);
  if (n.starts_with("vision_tower.") && !n.starts_with("vision_tower.vision_model."))
    replace_prefix(n, "vision_tower.", "vision_tower.vision_model.");
  return n;
}

std::string memory_llava_name(const std::string& canonical) {
  std::string n = without_vision_model(canonical);
  if (!replace_prefix(n, "language_model.model.", "model.language_model.") &&
      !replace_prefix(n, "language_model.lm_head.", "lm_head."))
    n = "model." + n;
  return n;
}

std::vector<FileTensor> v5_llava_tensors(const ModelConfig&, const Parameter& parameter) {
  return {{.name = without_vision_model(parameter.name)}};
}

}  // namespace longsight::model
