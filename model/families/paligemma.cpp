// PaliGemma: SigLIP, one linear layer, Gemma; image and prefix see each other, the suffix sees what is before
// it. Source of the structure and of the defaults: transformers 5.23, models/paligemma, models/gemma,
// models/siglip.
#include "model/families/families.h"
#include "model/families/llava.h"
#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

ModelConfig read_paligemma(const Family& family, const Json& file, const std::string& path) {
  ModelConfig config;
  ConfigReader r(file, path);
  r.assume(family.defaults);
  ConfigReader vision = r.object("vision_config", family.absent_vision);
  ConfigReader text = r.object("text_config", family.absent_text);
  config.vision = read_tower(vision, {"siglip_vision_model"}, "vision_tower.vision_model.", config.warnings);
  vision.note_unread(config.warnings);
  config.text = read_text(text, text_inside(text, "gemma", "PaliGemma", "gemma"), {}, config.warnings);
  // Says that the prefix sees itself, which it always does.
  text.ignore({"num_image_tokens", "use_bidirectional_attention"});
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings");
  config.text.first_position = 1;
  config.prefix_attention = true;
  const i64 projection = r.positive("projection_dim");
  require(projection == config.text.width, ExitCode::bad_data,
          "{}: projection_dim {} is not the hidden_size {} of the language model", path, projection,
          config.text.width);
  config.image_token = r.token_id({"image_token_index", "image_token_id"}, config.text.vocab);
  ConnectorConfig& c = config.connector;
  c.feature_layers = {config.vision.layers};
  c.drop_first_row = false;
  c.row_norm = true;
  c.row_norm_eps = config.vision.eps;
  c.first_name = "multi_modal_projector.linear";
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "hidden_size",
            "vocab_size", "ignore_index", "pad_token_id", "bos_token_id", "eos_token_id", "_name_or_path",
            "_vocab_size"});
  r.note_unread(config.warnings);
  return config;
}

Json paligemma_v5(const Family& family, const ModelConfig& c) {
  Json config = v5_outer(c.source, family.model_type, c.text);
  Json text = part_of(c.source, "text_config", family.absent_text),
       vision = part_of(c.source, "vision_config", family.absent_vision);
  // Ids that older files have at the top; and what no class knows any more.
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (!config.contains(key)) continue;
    if (!text.contains(key)) text[key] = config[key];
    config.erase(key);
  }
  for (const char* key : {"ignore_index", "image_token_id", "_vocab_size"}) config.erase(key);
  for (const char* key : {"num_image_tokens", "projector_hidden_act"}) vision.erase(key);
  text.erase("hidden_activation");
  if (c.text.activation == ops::Activation::gelu_tanh) text["hidden_act"] = "gelu_pytorch_tanh";
  config["image_token_index"] = c.image_token;
  config["hidden_size"] = c.text.width;
  config["vocab_size"] = c.text.vocab;
  text = v5_text(text, c.text, "gemma");
  text["num_image_tokens"] = c.vision.grid() * c.vision.grid();
  text["use_bidirectional_attention"] = true;
  config["text_config"] = text;
  vision["projection_dim"] = config["projection_dim"];
  config["vision_config"] = v5_vision(vision, "siglip_vision_model");
  return config;
}

}  // namespace

Family paligemma_family() {
  return {.model_type = "paligemma",
          .architecture = "PaliGemmaForConditionalGeneration",
          .processor = "PaliGemmaProcessor",
          .chat = "paligemma",
          .defaults = Json::parse(R"({
            "image_token_index": 256000, "vocab_size": 257152, "projection_dim": 2048, "hidden_size": 2048,
            "tie_word_embeddings": true})"),
          .absent_vision = Json::parse(R"({
            "hidden_size": 1152, "intermediate_size": 4096, "num_hidden_layers": 27,
            "num_attention_heads": 16, "patch_size": 14, "vision_use_head": false})"),
          .absent_text = Json::parse(R"({
            "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18,
            "num_attention_heads": 8, "num_key_value_heads": 1, "vocab_size": 257152,
            "use_bidirectional_attention": true})"),
          .read_config = read_paligemma,
          .canonical_name = canonical_llava_name,
          .memory_name = memory_llava_name,
          .v5_tensors = v5_llava_tensors,
          .v5_config = paligemma_v5};
}

}  // namespace longsight::model
