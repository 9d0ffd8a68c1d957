// Idefics3 and SmolVLM: a SigLIP-shaped tower over tiles, pixel shuffle, one linear layer, a language model.
// Source of the structure and of the defaults: transformers 5.23, models/idefics3 and models/smolvlm.
#include "model/families/families.h"
#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

ModelConfig read_idefics3(const Family& family, const Json& file, const std::string& path) {
  ModelConfig config;
  config.media_style = MediaStyle::smolvlm;
  ConfigReader r(file, path);
  r.assume(family.defaults);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("text_config", family.absent_text);
  config.vision = read_tower(vision, {"idefics3_vision"}, "model.vision_model.", config.warnings);
  vision.note_unread(config.warnings);
  VisionConfig& v = config.vision;
  v.merge = r.positive("scale_factor");
  require(v.grid() % v.merge == 0, ExitCode::bad_data,
          "{}: {} patches an edge are not whole blocks of scale_factor {}", path, v.grid(), v.merge);
  config.text = read_text(text, text_inside(text, "llama", "Idefics3"),
                          {.model = "model.text_model.", .head = ""}, config.warnings);
  for (const char* key : {"use_resampler", "qk_layer_norms"}) {
    text.refuse_unless(key, false, "the perceiver resampler of Idefics2 is not part of this family");
    r.refuse_unless(key, false, "the perceiver resampler of Idefics2 is not part of this family");
  }
  text.ignore({"is_llama_config", "transformers.js_config"});
  text.refuse_unless("rope_interleaved", false, "rotary embedding turns channels i and i + D/2");
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings");
  config.image_token = r.token_id({"image_token_id"}, config.text.vocab);
  ConnectorConfig& c = config.connector;
  c.feature_layers = {v.layers};
  c.drop_first_row = false;
  c.row_norm = true;
  c.row_norm_eps = v.eps;
  c.bias = false;
  c.first_name = "model.connector.modality_projection.proj";
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "image_seq_len",
            "use_cache", "pad_token_id", "_pad_token_id", "bos_token_id", "eos_token_id", "_name_or_path",
            "vocab_size", "transformers.js_config", "_flash_attn_2_enabled", "_attn_implementation_autoset"});
  r.note_unread(config.warnings);
  return config;
}

Json idefics3_v5(const Family& family, const ModelConfig& c) {
  Json config = v5_outer(c.source, family.model_type, c.text);
  if (config.contains("pad_token_id")) {
    config["_pad_token_id"] = config["pad_token_id"];
    config.erase("pad_token_id");
  }
  if (!config.contains("_pad_token_id")) config["_pad_token_id"] = 128002;
  config["vision_config"] = v5_vision(part_of(c.source, "vision_config"), family.model_type + "_vision");
  const Json text = part_of(c.source, "text_config", family.absent_text);
  config["text_config"] = v5_text(text, c.text, text.value("model_type", "llama"));
  return config;
}

Family idefics3_family(const std::string& type, const std::string& name) {
  return {.model_type = type,
          .architecture = name + "ForConditionalGeneration",
          .processor = name + "Processor",
          .chat = type,
          .defaults = Json::parse(R"({
            "use_cache": true, "image_token_id": 128257, "scale_factor": 2,
            "tie_word_embeddings": false})"),
          .absent_text = {{"rms_norm_eps", 1e-5}},
          .read_config = read_idefics3,
          .v5_config = idefics3_v5};
}

}  // namespace

Family idefics3_family() {
  return idefics3_family("idefics3", "Idefics3");
}

Family smolvlm_family() {
  return idefics3_family("smolvlm", "SmolVLM");
}

}  // namespace longsight::model
