// InternVL in the files of its original remote code (InternVLChatModel). Sources:
// configuration_internvl_chat.py, modeling_internvl_chat.py, modeling_intern_vit.py and modeling_internlm2.py
// of the model hub.
#include <filesystem>

#include "model/families/families.h"
#include "model/families/internvl.h"
#include "model/families/text_models.h"
#include "model/families/tower_rows.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

// The language model of the original files, by its architecture.
const TextRow& original_text(ConfigReader& r) {
  const Json* architectures = r.raw("architectures");
  const bool named = architectures != nullptr && architectures->is_array() && !architectures->empty() &&
                     architectures->front().is_string();
  const std::string name = named ? architectures->front().get<std::string>() : "LlamaForCausalLM";
  std::string known;
  for (const TextRow& row : text_rows()) {
    if (!row.in_internvl_chat()) continue;
    if (row.architecture == name) return row;
    known += (known.empty() ? "" : ", ") + row.architecture;
  }
  fail(ExitCode::bad_data, "{}: architecture {} is not supported (supported: {})", r.where(), name, known);
}

// The id of an added token in the tokenizer files of a folder; -1: no file names it.
i64 added_token(const std::string& folder, const std::string& content) {
  namespace fs = std::filesystem;
  if (const std::string path = folder + "/tokenizer.json"; fs::exists(path)) {
    const Json file = read_json_file(path);
    for (const Json& token : file.value("added_tokens", Json::array())) {
      if (token.is_object() && token.value("content", Json()) == content && token.contains("id") &&
          token["id"].is_number_integer())
        return token["id"].get<i64>();
    }
  }
  if (const std::string path = folder + "/added_tokens.json"; fs::exists(path)) {
    const Json file = read_json_file(path);
    if (file.is_object() && file.contains(content) && file[content].is_number_integer())
      return file[content].get<i64>();
  }
  // Folders with vocab.json and merges.txt alone may name it there only.
  if (const std::string path = folder + "/tokenizer_config.json"; fs::exists(path)) {
    const Json file = read_json_file(path, {.big_integers = true});
    const Json decoder = file.value("added_tokens_decoder", Json::object());
    for (const auto& [id, token] : decoder.items()) {
      const bool number = !id.empty() && id.size() < 10 && id.find_first_not_of("0123456789") == id.npos;
      if (number && token.is_object() && token.value("content", Json()) == content) return std::stoll(id);
    }
  }
  return -1;
}

// The configuration does not name the image token; the tokenizer beside it does (<IMG_CONTEXT>). Without a
// tokenizer: the id that published models have.
void complete(ModelConfig& config, const std::string& folder) {
  if (config.image_token < 0) config.image_token = added_token(folder, "<IMG_CONTEXT>");
  const i64 published = text_row(config.text.type).image_token;
  if (config.image_token < 0 && published < config.text.vocab) config.image_token = published;
  require(config.image_token < config.text.vocab, ExitCode::bad_data,
          "{}: the image token {} is outside the vocabulary of {}", folder, config.image_token,
          config.text.vocab);
}

ModelConfig read_internvl_chat(const Family& family, const Json& file, const std::string& path) {
  ModelConfig config;
  config.media_style = MediaStyle::internvl;
  ConfigReader r(file, path);
  r.assume(family.defaults);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("llm_config");
  config.vision = read_tower(vision, {"intern_vit_6b"}, "vision_model.", config.warnings);
  vision.note_unread(config.warnings);
  VisionConfig& v = config.vision;
  v.merge = internvl_merge(r);
  const i64 forced = r.positive("force_image_size", v.image_size);
  require(forced == v.image_size, ExitCode::bad_data,
          "{}: force_image_size {} is not the image_size {} of vision_config: positions are not stretched",
          path, forced, v.image_size);
  check_internvl_merge(r, v);
  config.text = read_text(text, original_text(text), {}, config.warnings);
  text.note_unread(config.warnings);
  config.text.tied = config.text.tied || r.boolean("tie_word_embeddings");
  // The file does not name it; these are the ids that the tokenizers have.
  config.image_token = r.integer("img_context_token_id", -1);
  ConnectorConfig& c = config.connector;
  c.feature_layers = {hidden_state_index(r.integer("select_layer"), v.layers, path + ": select_layer")};
  const std::string version = r.text("ps_version");
  require(version == "v1" || version == "v2", ExitCode::bad_data,
          "{}: ps_version \"{}\" is neither v1 nor v2", path, version);
  c.blocks_by_column = version == "v1";
  c.joined_norm = true;
  c.middle = config.text.width;
  c.joined_norm_name = "mlp1.0";
  c.first_name = "mlp1.1";
  c.second_name = "mlp1.3";
  r.refuse_unless("use_backbone_lora", 0, "merge the adapters into the weights first");
  r.refuse_unless("use_llm_lora", 0, "merge the adapters into the weights first");
  r.refuse_unless("pad2square", false, "images are tiled, not padded");
  r.ignore({"model_type", "architectures", "auto_map", "torch_dtype", "dtype", "transformers_version",
            "_name_or_path", "_commit_hash", "dynamic_image_size", "max_dynamic_patch", "min_dynamic_patch",
            "template", "use_thumbnail", "hidden_size", "pad_token_id", "bos_token_id", "eos_token_id",
            "system_message", "chat_template_file"});
  r.note_unread(config.warnings);
  return config;
}

// ---- the original form becomes the one of transformers: q, k and v apart in both towers, InternLM2 as the
// Llama that it is

// A parameter, or its three parts where it joins q, k and v: {} in `name` stands for the part.
std::vector<FileTensor> q_k_v(const std::string& name, i64 q_rows, i64 kv_rows) {
  const auto part = [&](const char* letter) {
    std::string own = name;
    return own.replace(own.find("{}"), 2, letter);
  };
  return {{part("q"), 0, q_rows}, {part("k"), q_rows, kv_rows}, {part("v"), q_rows + kv_rows, kv_rows}};
}

// The name of a block's tensor there, by the one it has here; {} stands for q, k and v, which are joined
// here. Empty: `name` is none of these.
std::string block_name(const std::string& name, const BlockNames& here, const BlockNames& there) {
  using NameOf = std::string BlockNames::*;
  if (!here.qkv.empty() && there.qkv.empty() && name.starts_with(here.qkv + ".")) {
    std::string own = there.q;
    own.replace(own.rfind("q_proj"), 1, "{}");
    return own + name.substr(here.qkv.size());
  }
  for (NameOf part : {&BlockNames::attention_norm, &BlockNames::qkv, &BlockNames::q, &BlockNames::k,
                      &BlockNames::v, &BlockNames::q_norm, &BlockNames::k_norm, &BlockNames::out,
                      &BlockNames::mlp_norm, &BlockNames::gate, &BlockNames::up, &BlockNames::down}) {
    if (!(here.*part).empty() && name.starts_with(here.*part + "."))
      return there.*part + name.substr((here.*part).size());
  }
  if (!name.empty() && name == here.attention_scale) return there.attention_scale;
  if (!name.empty() && name == here.mlp_scale) return there.mlp_scale;
  return "";
}

// The same of a tensor in "<blocks>.<number>.".
std::string in_blocks(const std::string& name, const std::string& blocks_here, const BlockNames& here,
                      const std::string& blocks_there, const BlockNames& there) {
  if (!name.starts_with(blocks_here + ".")) return "";
  const std::size_t end = name.find('.', blocks_here.size() + 1);
  return blocks_there + name.substr(blocks_here.size(), end + 1 - blocks_here.size()) +
         block_name(name.substr(end + 1), here, there);
}

// `name` begins with `here`, which is `there`; else empty.
std::string moved(const std::string& name, const std::string& here, const std::string& there) {
  return !here.empty() && name.starts_with(here) ? there + name.substr(here.size()) : "";
}

std::vector<FileTensor> whole_or_q_k_v(const std::string& name, const std::string& from, i64 q_rows,
                                       i64 kv_rows) {
  check(!name.empty(), "no tensor {} in InternVLForConditionalGeneration", from);
  if (name.find("{}") != std::string::npos) return q_k_v(name, q_rows, kv_rows);
  return {{.name = name}};
}

std::vector<FileTensor> v5_tower(const VisionConfig& v, const std::string& name) {
  const VisionNames &here = v.names, &there = find_tower_row("internvl_vision")->fixed.names;
  const std::string root = "vision_tower.";
  std::string own = in_blocks(name, here.root + here.blocks, here.block, root + there.blocks, there.block);
  for (std::string VisionNames::*part :
       {&VisionNames::class_row, &VisionNames::position, &VisionNames::patch, &VisionNames::post_norm}) {
    if (own.empty() && !(here.*part).empty()) own = moved(name, here.root + here.*part, root + there.*part);
  }
  return whole_or_q_k_v(own, name, v.width, v.width);
}

std::vector<FileTensor> v5_language(const TextConfig& t, const std::string& name) {
  const TextRow& row = text_row(t.type);
  const TextNames& there = text_row(row.written_type()).fixed.names;
  const std::string model = "language_model.model.";
  std::string own = in_blocks(name, t.names.blocks, t.names.block, model + there.blocks, there.block);
  if (own.empty()) own = moved(name, t.names.embedding, model + there.embedding);
  if (own.empty()) own = moved(name, t.names.final_norm, model + there.final_norm);
  if (own.empty()) own = moved(name, t.names.head, "language_model." + there.head);
  return whole_or_q_k_v(own, name, t.heads * t.head_width, t.kv_heads * t.head_width);
}

std::vector<FileTensor> v5_tensors(const ModelConfig& c, const Parameter& parameter) {
  const std::string& name = parameter.name;
  if (parameter.part == "language") return v5_language(c.text, name);
  if (parameter.part == "vision") return v5_tower(c.vision, name);
  for (const auto& [original, own] : {std::pair("mlp1.0.", "multi_modal_projector.layer_norm."),
                                      std::pair("mlp1.1.", "multi_modal_projector.linear_1."),
                                      std::pair("mlp1.3.", "multi_modal_projector.linear_2.")}) {
    if (name.starts_with(original)) return {{.name = own + name.substr(std::string_view(original).size())}};
  }
  fail(ExitCode::internal, "no tensor {} in a connector of InternVL", name);
}

Json internvl_chat_v5(const Family&, const ModelConfig& c) {
  const Json source_vision = part_of(c.source, "vision_config"),
             source_text = part_of(c.source, "llm_config");
  require(!c.connector.blocks_by_column, ExitCode::usage,
          "--hf-names v5: ps_version v1 runs through the image column by column, which "
          "InternVLForConditionalGeneration cannot; export with the original names");
  require(!c.vision.qk_norm || c.vision.qk_eps == 1e-6, ExitCode::usage,
          "--hf-names v5: layer_norm_eps {} of the norms of q and k is 1e-6 in "
          "InternVLForConditionalGeneration; export with the original names",
          c.vision.qk_eps);
  Json config = v5_outer(Json::object(), "internvl", c.text);
  config["image_token_id"] = c.image_token;
  config["image_seq_length"] = c.features_per_tile(c.tile_layout());
  config["downsample_ratio"] = 1.0 / static_cast<double>(c.vision.merge);
  config["vision_feature_layer"] = c.source.value("select_layer", Json(-1));

  Json vision = v5_vision(keys_of_class(source_vision, "internvl_vision"), "internvl_vision");
  vision["hidden_size"] = c.vision.width;
  vision["intermediate_size"] = c.vision.intermediate;
  vision["num_hidden_layers"] = c.vision.layers;
  vision["num_attention_heads"] = c.vision.heads;
  vision["image_size"] = {c.vision.image_size, c.vision.image_size};
  vision["patch_size"] = {c.vision.patch, c.vision.patch};
  vision["attention_bias"] = c.vision.qkv_bias;
  vision["use_qk_norm"] = c.vision.qk_norm;
  vision["norm_type"] = c.vision.rms ? "rms_norm" : "layer_norm";
  vision["hidden_dropout_prob"] = source_vision.value("dropout", Json(0.0));
  config["vision_config"] = vision;

  const TextRow& row = text_row(c.text.type);
  const std::string& type = row.written_type();
  Json text = keys_of_class(source_text, type);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (source_text.contains(key)) text[key] = source_text[key];
  }
  text = v5_text(text, c.text, type);
  text["vocab_size"] = c.text.vocab;
  // Under the keys of the other class.
  const TextRow& written = text_row(type);
  if (!written.attention_bias.empty()) text[written.attention_bias] = c.text.qkv_bias;
  if (!written.mlp_bias.empty()) text[written.mlp_bias] = c.text.mlp_bias;
  config["text_config"] = text;
  return config;
}

// The original code tiles images itself, whatever its preprocessor_config.json says.
Json v5_processor(const ModelConfig& c, const Json& preprocessor) {
  const i64 edge = c.vision.image_size;
  Json image{{"image_processor_type", "GotOcr2ImageProcessor"},
             {"do_convert_rgb", true},
             {"do_resize", true},
             {"do_rescale", true},
             {"rescale_factor", 1.0 / 255},
             {"do_normalize", true},
             {"resample", 3},
             {"size", {{"height", edge}, {"width", edge}}},
             {"crop_to_patches", true},
             {"min_patches", c.source.value("min_dynamic_patch", Json(1))},
             {"max_patches", c.source.value("max_dynamic_patch", Json(6))}};
  for (const char* key : {"image_mean", "image_std"}) {
    if (preprocessor.contains(key)) image[key] = preprocessor[key];
  }
  return {{"image_processor", image},
          {"image_seq_length", c.features_per_tile(c.tile_layout())},
          {"processor_class", "InternVLProcessor"}};
}

}  // namespace

Family internvl_chat_family() {
  return {.model_type = "internvl_chat",
          .architecture = "InternVLChatModel",
          .chat = "internvl2_5",
          .defaults = {{"downsample_ratio", 0.5},
                       {"select_layer", -1},
                       {"ps_version", "v1"},
                       {"tie_word_embeddings", false}},
          .read_config = read_internvl_chat,
          .complete = complete,
          .v5_tensors = v5_tensors,
          .v5_config = internvl_chat_v5,
          .v5_processor = v5_processor};
}

}  // namespace longsight::model
