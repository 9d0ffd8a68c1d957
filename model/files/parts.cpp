#include "model/files/parts.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "model/families/v5_config.h"
#include "model/files/folder_kind.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImageToken = "<image>";
constexpr const char* kTower = "vision_tower.vision_model.";
constexpr const char* kConnector = "multi_modal_projector.*";

constexpr std::array kTokenizerFiles{
    "special_tokens_map.json", "added_tokens.json",     "vocab.json", "merges.txt",
    "tokenizer.model",         "generation_config.json"};

Json read_folder_config(const std::string& folder) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such model folder", folder);
  check_is_model_folder(folder);
  Json config = read_json_file(folder + "/config.json");
  check_config_form(config, folder + "/config.json");
  return config;
}

// vision_config of the whole.
Json tower_config(const std::string& folder) {
  const Json file = read_folder_config(folder);
  const std::string type = file.value("model_type", "");
  const bool whole = type == "clip" || type == "siglip";
  require(
      whole || type == "clip_vision_model" || type == "siglip_vision_model", ExitCode::bad_data,
      "{}/config.json: model_type \"{}\" is no tower that LLaVA can have (clip, clip_vision_model, siglip, "
      "siglip_vision_model)",
      folder, type);
  const std::string own = whole ? type + "_vision_model" : type;
  Json tower = keys_of_class(whole ? part_of(file, "vision_config") : file, own);
  tower["model_type"] = own;
  return tower;
}

// text_config of the whole, its vocabulary not yet grown.
Json language_config(const ModelConfig& language) {
  Json text = language.source;
  for (const char* key :
       {"architectures", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "auto_map"})
    text.erase(key);
  return text;
}

// ---- the image token

struct ImageToken {
  i64 id = 0;
  bool in_tokenizer = false;  // as an added token
};

// The highest id in a tokenizer.json, and that of a token.
struct Ids {
  i64 highest = -1;
  std::optional<i64> found;

  void see(const Json& id, bool is_wanted) {
    if (!id.is_number_integer()) return;
    highest = std::max(highest, id.get<i64>());
    if (is_wanted) found = id.get<i64>();
  }
};

Ids vocabulary_ids(const Json& vocabulary) {
  Ids ids;
  if (vocabulary.is_object()) {
    for (const auto& [piece, id] : vocabulary.items()) ids.see(id, piece == kImageToken);
  } else if (vocabulary.is_array()) {  // [piece, score] in the order of their ids
    for (std::size_t i = 0; i < vocabulary.size(); ++i)
      ids.see(Json(i), vocabulary[i].is_array() && !vocabulary[i].empty() && vocabulary[i][0] == kImageToken);
  }
  return ids;
}

Ids added_ids(const Json& tokens) {
  Ids ids;
  for (const Json& token : tokens.is_array() ? tokens : Json::array()) {
    if (token.is_object() && token.contains("id"))
      ids.see(token["id"], token.value("content", Json()) == kImageToken);
  }
  return ids;
}

ImageToken token_of_fast_tokenizer(const Json& tokenizer) {
  const Ids added = added_ids(tokenizer.value("added_tokens", Json()));
  if (added.found) return {*added.found, true};
  const Ids pieces = vocabulary_ids(part_of(tokenizer, "model").value("vocab", Json()));
  if (pieces.found) return {*pieces.found, false};
  return {std::max(added.highest, pieces.highest) + 1, false};
}

// Of a folder without tokenizer.json: added_tokens.json has what is beyond tokenizer.model or vocab.json.
ImageToken token_of_slow_tokenizer(const std::string& folder, i64 vocab) {
  Ids added;
  if (const std::string path = folder + "/vocab.json"; fs::exists(path)) {
    const Ids pieces = vocabulary_ids(read_json_file(path));
    if (pieces.found) return {*pieces.found, false};
  }
  if (const std::string path = folder + "/tokenizer_config.json"; fs::exists(path)) {
    const Json file = read_json_file(path, {.big_integers = true});
    const Json decoder = part_of(file, "added_tokens_decoder");
    for (const auto& [id, token] : decoder.items()) {
      if (id.empty() || id.find_first_not_of("0123456789") != std::string::npos || id.size() > 9) continue;
      added.see(Json(std::stoll(id)), token.is_object() && token.value("content", Json()) == kImageToken);
    }
  }
  if (const std::string path = folder + "/added_tokens.json"; fs::exists(path)) {
    const Json file = read_json_file(path);
    for (const auto& [token, id] : file.items()) added.see(id, token == kImageToken);
  }
  if (added.found) return {*added.found, true};
  return {std::max(added.highest + 1, vocab), false};
}

ImageToken image_token_of(const std::string& folder, i64 vocab) {
  if (fs::exists(folder + "/tokenizer.json"))
    return token_of_fast_tokenizer(read_json_file(folder + "/tokenizer.json"));
  require(fs::exists(folder + "/tokenizer.model") || fs::exists(folder + "/vocab.json"),
          ExitCode::missing_input,
          "{}: neither tokenizer.json nor tokenizer.model nor vocab.json; copy the tokenizer of the language "
          "model there",
          folder);
  return token_of_slow_tokenizer(folder, vocab);
}

Json token_entry() {
  return {{"content", kImageToken}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false},        {"single_word", false}, {"special", true}};
}

void write_json(const std::string& path, const Json& json) {
  io::write_file(path, json_text(json, 2) + "\n");
}

// ---- the whole

struct WholePart {
  ModelConfig config;
  i64 old_vocab = 0;
  ImageToken token;
};

WholePart compose(const PartFolders& parts) {
  const ModelConfig language = read_config(parts.language);
  require(!language.has_vision(), ExitCode::bad_data, "{}/config.json: a {} is no language model alone",
          parts.language, language.family);
  WholePart whole{.config = {},
                  .old_vocab = language.text.vocab,
                  .token = image_token_of(parts.language, language.text.vocab)};
  const Json tower = tower_config(parts.vision);
  Json text = language_config(language);
  text["vocab_size"] = std::max(language.text.vocab, whole.token.id + 1);
  const bool class_row = tower["model_type"] == "clip_vision_model";
  Json file{{"model_type", "llava"},
            {"architectures", {"LlavaForConditionalGeneration"}},
            {"image_token_index", whole.token.id},
            {"projector_hidden_act", "gelu"},
            {"vision_feature_layer", -2},
            {"vision_feature_select_strategy", class_row ? "default" : "full"},
            {"multimodal_projector_bias", true},
            {"tie_word_embeddings", language.text.tied},
            {"text_config", text},
            {"vision_config", tower}};
  const std::string from = fmt::format("{} and {}", parts.vision, parts.language);
  const ModelConfig shape = read_model_config(file, from);
  file["image_seq_length"] = shape.features(shape.tile_layout());
  whole.config = read_model_config(file, from);
  return whole;
}

// Of the tower's folder: with vision_model. in front, as whole models and older versions have it, or without.
std::string tower_name(const std::string& name) {
  if (name.starts_with("vision_model.")) return "vision_tower." + name;
  for (const char* other :
       {"text_model.", "text_projection.", "visual_projection.", "logit_scale", "logit_bias"}) {
    if (name.starts_with(other)) return "";
  }
  return kTower + name;
}

std::string language_name(const std::string& name) {
  return "language_model." + name;
}

}  // namespace

ModelConfig compose_parts(const PartFolders& parts) {
  return compose(parts).config;
}

std::unique_ptr<Vlm> load_parts(const PartFolders& parts, const LoadOptions& options) {
  WholePart whole = compose(parts);
  for (const std::string& folder : {parts.vision, parts.language}) check_has_safetensors(folder);
  const io::SafetensorsSet vision(parts.vision), language(parts.language);
  TensorSources sources;
  sources.add(vision, tower_name);
  sources.add(language, language_name);
  settle_tie(whole.config, sources, parts.language);
  for (const std::string& warning : whole.config.warnings) log_warn("{}", warning);
  const TextConfig& text = whole.config.text;
  log_info("a LLaVA of {} and {}: {} is token {}{}; vocabulary {}{}", parts.vision, parts.language,
           kImageToken, whole.token.id, whole.token.in_tokenizer ? "" : ", added to the tokenizer",
           text.vocab, text.vocab > whole.old_vocab ? fmt::format(", of {} before", whole.old_vocab) : "");
  LoadOptions rules = options;
  rules.rules.allow_missing.push_back(kConnector);
  rules.rules.growing = {text.names.embedding + ".weight", text.names.head + ".weight"};
  const std::string from = fmt::format("{} and {}", parts.vision, parts.language);
  return load_model(std::move(whole.config), sources, rules, from);
}

void write_parts_files(const PartFolders& parts, const std::string& folder) {
  const std::string& from = parts.language;
  const ImageToken token = compose(parts).token;
  const std::string id = std::to_string(token.id);
  for (const char* name : kTokenizerFiles) {
    if (fs::exists(from + "/" + name))
      io::write_file(folder + "/" + name,
                     read_whole_file(from + "/" + name, i64{1} << 30, ExitCode::bad_data));
  }
  if (const std::string path = from + "/tokenizer.json"; fs::exists(path)) {
    Json file = read_json_file(path);
    if (!token.in_tokenizer) {
      Json entry = token_entry();
      entry["id"] = token.id;
      file["added_tokens"].push_back(entry);
    }
    write_json(folder + "/tokenizer.json", file);
  } else if (!token.in_tokenizer) {
    Json added = Json::object();
    if (fs::exists(from + "/added_tokens.json")) added = read_json_file(from + "/added_tokens.json");
    added[kImageToken] = token.id;
    write_json(folder + "/added_tokens.json", added);
  }
  if (const std::string path = from + "/tokenizer_config.json"; fs::exists(path)) {
    Json file = read_json_file(path, {.big_integers = true});
    file.erase("chat_template");
    if (file.contains("added_tokens_decoder") && !file["added_tokens_decoder"].contains(id))
      file["added_tokens_decoder"][id] = token_entry();
    write_json(folder + "/tokenizer_config.json", file);
  }
  const std::string preprocessor = parts.vision + "/preprocessor_config.json",
                    processor = parts.vision + "/processor_config.json";
  if (fs::exists(preprocessor)) {
    io::write_file(folder + "/preprocessor_config.json",
                   read_whole_file(preprocessor, i64{1} << 30, ExitCode::bad_data));
    return;
  }
  // As transformers 5 writes it.
  const Json image =
      fs::exists(processor) ? part_of(read_json_file(processor), "image_processor") : Json::object();
  require(
      !image.empty(), ExitCode::missing_input,
      "{}: no preprocessor_config.json, which says how images become pixels; copy that of the tower there",
      parts.vision);
  write_json(folder + "/preprocessor_config.json", image);
}

}  // namespace longsight::model
