#include "model/families/idefics3.h"

#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"

namespace longsight::model {

ModelConfig read_idefics3_config(const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  config.media_style = MediaStyle::smolvlm;
  ConfigReader r(file, path);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("text_config");
  vision.refuse_unless("qk_layer_norms", false, "norms of q and k are not part of these towers");
  config.vision = read_siglip(vision, {1152, 3072, 12, 16, 224, 32}, "model.vision_model.", config.warnings);
  VisionConfig& v = config.vision;
  v.carried.clear();  // this class has no pooling head
  v.positions = VisionConfig::Positions::spread;
  v.merge = r.positive("scale_factor", 2);
  require(v.grid() % v.merge == 0, ExitCode::bad_data,
          "{}: {} patches an edge are not whole blocks of scale_factor {}", path, v.grid(), v.merge);
  const TextKind kind = text_kind(text, TextKind::llama);
  require(kind == TextKind::llama || kind == TextKind::mistral || kind == TextKind::qwen2, ExitCode::bad_data,
          "{}: model_type {} is not supported inside of Idefics3 (llama, mistral and qwen2 are)",
          text.where(), text.text("model_type", ""));
  config.text = read_text(text, kind, "model.text_model", "lm_head", config.warnings);
  // A wholly absent text_config is not the class's own.
  if (!r.has("text_config")) config.text.eps = 1e-5;
  for (const char* key : {"use_resampler", "qk_layer_norms"}) {
    text.refuse_unless(key, false, "the perceiver resampler of Idefics2 is not part of this family");
    r.refuse_unless(key, false, "the perceiver resampler of Idefics2 is not part of this family");
  }
  text.ignore({"is_llama_config", "transformers.js_config", "rope_interleaved"});
  text.refuse_unless("rope_interleaved", false, "rotary embedding turns channels i and i + D/2");
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings", false);
  config.image_token = r.token_id({"image_token_id"}, 128257, config.text.vocab);
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

nlohmann::json v5_idefics3_config(const ModelConfig& c) {
  nlohmann::json config = v5_outer(c.source, c.family, c.text);
  if (config.contains("pad_token_id")) {
    config["_pad_token_id"] = config["pad_token_id"];
    config.erase("pad_token_id");
  }
  config["vision_config"] = v5_vision(part_of(c.source, "vision_config"), c.family + "_vision");
  nlohmann::json text = part_of(c.source, "text_config");
  const std::string type = text.value("model_type", "llama");
  if (text.empty()) text["rms_norm_eps"] = c.text.eps;
  config["text_config"] = v5_text(text, c.text, type);
  return config;
}

}  // namespace longsight::model
