#include "launch/sample_maker.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "model/families/families.h"
#include "runtime/base/json.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<data::Tokenizer> read_tokenizer(const std::string& folder, const model::ModelConfig& config) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such folder", folder);
  std::unique_ptr<data::Tokenizer> tokenizer = data::read_tokenizer(folder);
  require(tokenizer->vocab_size() <= config.text.vocab, ExitCode::bad_data,
          "{}: the tokenizer has {} tokens, but the model's vocab_size is {}", folder,
          tokenizer->vocab_size(), config.text.vocab);
  return tokenizer;
}

const data::ChatFormat& read_format(const std::string& folder, const std::string& chat) {
  return chat.empty() ? data::chat_format_of_folder(folder) : data::chat_format(chat);
}

data::Placeholders placeholders_of(const model::ModelConfig& config) {
  data::Placeholders placeholders;
  if (config.image_token >= 0) placeholders.image = config.image_token;
  if (config.video_token >= 0) placeholders.video = config.video_token;
  return placeholders;
}

std::vector<i64> read_stop_tokens(const std::string& folder, const data::Tokenizer& tokenizer,
                                  const data::ChatFormat& format) {
  std::set<i64> stop;
  if (tokenizer.eos()) stop.insert(*tokenizer.eos());
  if (!format.end_of_turn.empty()) stop.insert(tokenizer.id_of(format.end_of_turn).value());
  if (const std::string file = folder + "/generation_config.json"; fs::exists(file)) {
    const Json json = read_json_file(file);
    const Json ids = json.is_object() ? json.value("eos_token_id", Json()) : Json();
    for (const Json& id : ids.is_array() ? ids : ids.is_null() ? Json::array() : Json::array({ids})) {
      require(id.is_number_integer(), ExitCode::bad_data, "{}: eos_token_id {} is not a token id", file,
              id.dump());
      stop.insert(id.get<i64>());
    }
  }
  return {stop.begin(), stop.end()};
}

}  // namespace

std::unique_ptr<SampleMaker> SampleMaker::of_model(const std::string& folder,
                                                   const model::ModelConfig& config,
                                                   const SampleOptions& options) {
  return std::unique_ptr<SampleMaker>(
      new SampleMaker(folder, config, read_format(folder, options.chat), options, true));
}

std::unique_ptr<SampleMaker> SampleMaker::of_tokenizer(const std::string& folder,
                                                       const model::ModelConfig& config,
                                                       const SampleOptions& options) {
  const bool silent = options.chat.empty() && !data::names_chat_format(folder);
  const std::string chat = silent ? family_of(config).chat : options.chat;
  return std::unique_ptr<SampleMaker>(
      new SampleMaker(folder, config, read_format(folder, chat), options, false));
}

SampleMaker::SampleMaker(const std::string& folder, const model::ModelConfig& config,
                         const data::ChatFormat& format, const SampleOptions& options, bool needs_recipe)
    : config_(config),
      tokenizer_(read_tokenizer(folder, config)),
      format_(format),
      media_(folder, config, *tokenizer_, options.images, needs_recipe),
      sample_tokenizer_(*tokenizer_, format_, placeholders_of(config)),
      stop_(read_stop_tokens(folder, *tokenizer_, format_)) {}

std::vector<MediaMaker::Medium> SampleMaker::media_of(const data::ChatSample& chat,
                                                      const data::MediaRecipes& recipes) const {
  std::vector<MediaMaker::Medium> media;
  for (const data::ChatMedia& m : chat.media) media.push_back(media_.medium(m, chat.where, recipes));
  return media;
}

namespace {

std::vector<std::string> texts_of(std::span<const MediaMaker::Medium> media) {
  std::vector<std::string> texts;
  for (const MediaMaker::Medium& m : media) texts.push_back(m.text);
  return texts;
}

}  // namespace

model::Sample SampleMaker::made(const data::ChatSample& chat, data::TokenizedSample tokens,
                                std::span<const MediaMaker::Medium> media,
                                std::span<const data::Shift> shifts,
                                const data::MediaRecipes& recipes) const {
  model::Sample sample{.id = chat.where,
                       .ids = std::move(tokens.ids),
                       .labels = std::move(tokens.labels),
                       .images = {},
                       .prefix = config_.prefix_attention ? tokens.prefix : 0};
  for (std::size_t i = 0; i < tokens.media_positions.size(); ++i) {
    sample.images.push_back(media_.source(chat.media[i], media[i], shifts.empty() ? data::Shift{} : shifts[i],
                                          chat.where, recipes));
  }
  check_sample(sample, config_);
  return sample;
}

model::Sample SampleMaker::labelled(const data::ChatSample& chat, data::EncodeCache& cache,
                                    std::span<const data::Shift> shifts,
                                    const data::MediaRecipes& recipes) const {
  check(shifts.empty() || shifts.size() == chat.media.size(), "{} shifts for {} images", shifts.size(),
        chat.media.size());
  const auto media = media_of(chat, recipes);
  return made(chat, sample_tokenizer_.tokenize(chat, texts_of(media), cache), media, shifts, recipes);
}

model::Sample SampleMaker::sample(const data::ChatSample& chat, data::EncodeCache& cache,
                                  std::span<const data::Shift> shifts) const {
  return labelled(chat, cache, shifts, media_.recipes());
}

std::optional<model::Sample> SampleMaker::sample_within(const data::ChatSample& chat,
                                                        data::EncodeCache& cache, i64 limit,
                                                        std::span<const data::Shift> shifts) const {
  model::Sample full = labelled(chat, cache, shifts, media_.recipes());
  if (full.tokens() <= limit) return full;
  // Separators between tiles go with the tiles: what is too much is taken from the placeholders, until it
  // fits.
  i64 budget = visual_tokens(full) - (full.tokens() - limit);
  while (budget > 0) {
    const auto recipes = media_.shrunk(chat.media, budget, chat.where);
    if (!recipes) return std::nullopt;
    model::Sample smaller = labelled(chat, cache, shifts, *recipes);
    if (smaller.tokens() <= limit) return smaller;
    budget = std::min(budget, visual_tokens(smaller)) - (smaller.tokens() - limit);
  }
  return std::nullopt;
}

i64 SampleMaker::visual_tokens(const model::Sample& sample) const {
  return model::visual_tokens(sample, config_);
}

model::Sample SampleMaker::prompt(const data::ChatSample& chat, data::EncodeCache& cache) const {
  const auto media = media_of(chat, media_.recipes());
  return made(chat, sample_tokenizer_.tokenize_prompt(chat, texts_of(media), cache), media, {},
              media_.recipes());
}

std::string SampleMaker::text(std::span<const i64> ids) const {
  std::vector<i64> known;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(known),
               [&](i64 id) { return id < tokenizer_->vocab_size() && !tokenizer_->token(id).empty(); });
  return tokenizer_->decode(known, true);
}

void SampleMaker::write_missing_files(const std::string& folder) const {
  const auto write = [&folder](const char* name, const nlohmann::ordered_json& json) {
    const std::string file = folder + "/" + name;
    if (!fs::exists(file)) io::write_file(file, json.dump(2) + "\n");
  };
  const char* processor = family_of(config_).processor;
  media_.write_files(folder, processor);
  if (config_.family == "llava") {
    write("processor_config.json",
          {{"processor_class", processor},
           {"image_token", tokenizer_->token(config_.image_token)},
           {"patch_size", config_.vision.patch},
           {"num_additional_image_tokens", 1},  // the row that the strategy "default" drops
           {"vision_feature_select_strategy", config_.connector.drop_first_row ? "default" : "full"}});
  }
  if (!fs::exists(folder + "/chat_template.jinja") && !format_.templates.empty())
    write("chat_template.json", {{"chat_template", format_.templates.front()}});
  nlohmann::ordered_json generation{{"_from_model_config", true}};
  for (const auto& [key, id] :
       {std::pair("bos_token_id", tokenizer_->bos()), std::pair("eos_token_id", tokenizer_->eos()),
        std::pair("pad_token_id", tokenizer_->pad())}) {
    if (id) generation[key] = *id;
  }
  write("generation_config.json", generation);
}

}  // namespace longsight::launch
