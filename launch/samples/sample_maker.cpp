#include "launch/samples/sample_maker.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "model/families/families.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/data/chat/chat_files.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

std::optional<data::ChatSource> read_chat(const std::string& folder, const AdapterCompanions& adapters,
                                          const std::string& chat, const model::ModelConfig& config) {
  if (chat.empty()) return adapters.chat ? adapters.chat : data::chat_of_folder(folder);
  data::ChatSource source = data::chat_by_name(chat);
  require(!source.prefix_suffix || config.prefix_attention, ExitCode::usage,
          "data.chat: {} is no chat but a prefix and a suffix, which only PaliGemma models have", chat);
  return source;
}

data::Placeholders placeholders_of(const model::ModelConfig& config) {
  data::Placeholders placeholders;
  if (config.image_token >= 0) placeholders.image = config.image_token;
  if (config.video_token >= 0) placeholders.video = config.video_token;
  return placeholders;
}

// What the model's own files say besides the tokenizer's eos.
std::vector<i64> read_end_tokens(const std::string& folder, const model::ModelConfig& config) {
  std::set<i64> ends;
  const auto add = [&ends](const Json& json, const std::string& file) {
    const std::vector<i64> ids = data::end_tokens_of(json, file);
    ends.insert(ids.begin(), ids.end());
  };
  add(config.source, "config.json");
  for (const char* part : {"text_config", "llm_config"}) {
    if (config.source.contains(part)) add(config.source[part], std::string("config.json: ") + part);
  }
  const std::string file = folder + "/generation_config.json";
  if (fs::exists(file)) add(read_json_file(file), file);
  return {ends.begin(), ends.end()};
}

}  // namespace

std::unique_ptr<SampleMaker> SampleMaker::of_model(const std::string& folder,
                                                   const model::ModelConfig& config,
                                                   const SampleOptions& options) {
  const AdapterCompanions adapters = adapter_companions(options.adapter, folder);
  return std::unique_ptr<SampleMaker>(new SampleMaker(
      folder, config, read_chat(folder, adapters, options.chat, config), adapters, options, true));
}

std::unique_ptr<SampleMaker> SampleMaker::of_tokenizer(const std::string& folder,
                                                       const model::ModelConfig& config,
                                                       const SampleOptions& options) {
  const AdapterCompanions adapters = adapter_companions(options.adapter, folder);
  std::optional<data::ChatSource> chat = read_chat(folder, adapters, options.chat, config);
  if (!chat) chat = data::chat_by_name(family_of(config).chat);
  return std::unique_ptr<SampleMaker>(
      new SampleMaker(folder, config, std::move(chat), adapters, options, false));
}

SampleMaker::SampleMaker(const std::string& folder, const model::ModelConfig& config,
                         std::optional<data::ChatSource> chat, const AdapterCompanions& adapters,
                         const SampleOptions& options, bool needs_recipe)
    : folder_(folder),
      tokenizer_folder_(adapters.tokenizer.empty() ? folder : adapters.tokenizer),
      config_(config),
      tokenizer_(data::read_tokenizer(tokenizer_folder_)),
      media_(adapters.processors.empty() ? folder : adapters.processors, config, *tokenizer_, options.images,
             needs_recipe),
      sample_tokenizer_(*tokenizer_, tokenizer_folder_, std::move(chat), placeholders_of(config),
                        read_end_tokens(folder, config),
                        fmt::format("{} has no chat template (chat_template.jinja, chat_template.json or "
                                    "tokenizer_config.json)",
                                    folder)),
      stop_(read_end_tokens(folder, config)) {
  for (const std::string& what : adapters.differing) {
    if (what == "chat template" && !options.chat.empty()) continue;  // the configuration's
    from_adapters_ += (from_adapters_.empty() ? "" : ", ") + what;
  }
  if (!from_adapters_.empty())
    from_adapters_ = "of the adapters in " + options.adapter + ": " + from_adapters_;
  const auto add = [this](std::optional<i64> id) {
    if (id && std::find(stop_.begin(), stop_.end(), *id) == stop_.end()) stop_.push_back(*id);
  };
  add(tokenizer_->eos());
  if (this->chat() != nullptr) add(tokenizer_->id_of(this->chat()->stop()));
  std::sort(stop_.begin(), stop_.end());
}

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
  // Tokenizers may hold tokens that the model has no embedding of (often a padding token): harmless where no
  // text uses them.
  for (const i64 id : sample.ids) {
    if (id < config_.text.vocab) continue;
    fail(ExitCode::bad_data,
         "{}: the token {} has the id {}, beyond the model's vocab_size of {}: take it out of the text, or "
         "enlarge the model's embedding",
         sample.id, Json(tokenizer_->token(id)).dump(), id, config_.text.vocab);
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

void SampleMaker::complete_folder(const std::string& folder) const {
  const auto write = [&folder](const char* name, const nlohmann::ordered_json& json) {
    const std::string file = folder + "/" + name;
    if (!fs::exists(file)) io::write_file(file, json_text(json, 2) + "\n");
  };
  const std::string& processor = family_of(config_).processor;
  if (tokenizer_folder_ != folder_) data::replace_tokenizer_files(tokenizer_folder_, folder);
  media_.write_files(folder, processor);
  if (config_.family == "llava") {
    write("processor_config.json",
          {{"processor_class", processor},
           {"image_token", tokenizer_->token(config_.image_token)},
           {"patch_size", config_.vision.patch},
           {"num_additional_image_tokens", 1},  // the row that the strategy "default" drops
           {"vision_feature_select_strategy", config_.connector.drop_first_row ? "default" : "full"}});
  }
  nlohmann::ordered_json generation{{"_from_model_config", true}};
  for (const auto& [key, id] :
       {std::pair("bos_token_id", tokenizer_->bos()), std::pair("eos_token_id", tokenizer_->eos()),
        std::pair("pad_token_id", tokenizer_->pad())}) {
    if (id) generation[key] = *id;
  }
  write("generation_config.json", generation);

  std::vector<i64> ends;
  if (tokenizer_->eos()) ends.push_back(*tokenizer_->eos());
  if (chat() != nullptr) {
    data::write_chat_files(folder, chat()->source(), media_.any());
    if (const auto stop = tokenizer_->id_of(chat()->stop())) ends.push_back(*stop);
  }
  data::write_end_tokens(folder, ends);
}

void SampleMaker::write_adapter_files(const std::string& folder) const {
  data::replace_tokenizer_files(tokenizer_folder_, folder);
  media_.write_files(folder, family_of(config_).processor);
  if (chat() != nullptr) data::write_chat_files(folder, chat()->source(), media_.any());
}

void SampleMaker::log_choices() const {
  if (!from_adapters_.empty()) log_info("{}, which differ from the model's, are used", from_adapters_);
  if (chat() == nullptr) return;
  const std::string& place = chat()->source().place;
  if (chat()->adds_eos()) {
    const bool each = chat()->stop().empty();
    log_info("{} ends {}: the tokenizer's eos {} is added behind {}, with loss", place,
             each ? "no answer" : "answers only in front of a question",
             tokenizer_->eos() ? tokenizer_->token(*tokenizer_->eos()) : "(it has none)",
             each ? "each" : "the last one of a conversation");
  }
  if (!chat()->learns_stop()) {
    log_warn("{} marks answers as generated without the {} that ends them: the model does not learn to stop",
             place, chat()->stop());
  }
}

}  // namespace longsight::launch
