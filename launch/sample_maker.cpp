#include "launch/sample_maker.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>

#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

data::BpeTokenizer read_tokenizer(const std::string& folder, const model::ModelConfig& config) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such folder", folder);
  const bool other = fs::exists(folder + "/tokenizer.model");
  require(fs::exists(folder + "/tokenizer.json"), ExitCode::missing_input,
          "{}: no tokenizer.json{}; copy the tokenizer of the model there, or learn one: longsight data "
          "tokenizer --vocab N FILE.jsonl --out DIR",
          folder, other ? " (tokenizer.model is not supported: save it as a fast tokenizer)" : "");
  data::BpeTokenizer tokenizer = data::BpeTokenizer::from_folder(folder);
  require(tokenizer.vocab_size() <= config.text.vocab, ExitCode::bad_data,
          "{}/tokenizer.json has {} tokens, but the model's vocab_size is {}", folder, tokenizer.vocab_size(),
          config.text.vocab);
  return tokenizer;
}

const data::ChatFormat& read_format(const std::string& folder, const std::string& chat) {
  return chat.empty() ? data::chat_format_of_folder(folder) : data::chat_format(chat);
}

data::ImageRecipe clip_recipe(i64 size) {
  data::ImageRecipe recipe;
  recipe.size = recipe.crop = {size, size};
  return recipe;
}

// preprocessor_config.json, or what transformers 5 writes instead of it.
std::optional<data::ImageRecipe> read_recipe(const std::string& folder) {
  if (const std::string file = folder + "/preprocessor_config.json"; fs::exists(file)) {
    return data::image_recipe_from_json(read_json_file(file), file);
  }
  if (const std::string file = folder + "/processor_config.json"; fs::exists(file)) {
    const Json json = read_json_file(file);
    if (const Json* image = optional_object(json, "image_processor", file)) {
      return data::image_recipe_from_json(*image, file + ": image_processor");
    }
  }
  return std::nullopt;
}

// Every picture, wide or high, must come out in the size of the tower.
void check_recipe(const data::ImageRecipe& recipe, i64 size, const std::string& folder) {
  for (const data::ImageSize image :
       {data::ImageSize{480, 640}, data::ImageSize{640, 480}, data::ImageSize{32, 32}}) {
    const data::ImageSize made = processed_size(recipe, image);
    require(made == data::ImageSize{size, size}, ExitCode::bad_data,
            "{}: preprocessor_config.json makes {} x {} pixels of an image of {} x {}, but image_size of "
            "config.json's vision_config is {}; make them agree (size, crop_size, do_center_crop)",
            folder, made.width, made.height, image.width, image.height, size);
  }
}

// What may look otherwise than meant is said once, however often an image is read.
std::function<void(std::string_view)> warn_once() {
  struct Said {
    std::mutex mutex;
    std::set<std::string, std::less<>> texts;
  };
  return [said = std::make_shared<Said>()](std::string_view text) {
    const std::lock_guard lock(said->mutex);
    if (said->texts.emplace(text).second) log_warn("{}", text);
  };
}

std::vector<i64> read_stop_tokens(const std::string& folder, const data::BpeTokenizer& tokenizer,
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
                                                   const std::string& chat) {
  const auto recipe = read_recipe(folder);
  require(
      recipe.has_value(), ExitCode::missing_input,
      "{}: no preprocessor_config.json, which says how images become pixels; copy that of the model there",
      folder);
  return std::unique_ptr<SampleMaker>(new SampleMaker(folder, config, read_format(folder, chat), *recipe));
}

std::unique_ptr<SampleMaker> SampleMaker::of_tokenizer(const std::string& folder,
                                                       const model::ModelConfig& config,
                                                       const std::string& chat) {
  const bool silent = chat.empty() && !data::has_chat_template(folder);
  return std::unique_ptr<SampleMaker>(
      new SampleMaker(folder, config, read_format(folder, silent ? "llava" : chat),
                      read_recipe(folder).value_or(clip_recipe(config.vision.image_size))));
}

SampleMaker::SampleMaker(const std::string& folder, const model::ModelConfig& config,
                         const data::ChatFormat& format, data::ImageRecipe recipe)
    : config_(config),
      tokenizer_(read_tokenizer(folder, config)),
      format_(format),
      recipe_(recipe),
      sample_tokenizer_(tokenizer_, format_, config.image_token),
      decode_{.warn = warn_once()},
      stop_(read_stop_tokens(folder, tokenizer_, format_)) {
  check_recipe(recipe_, config.vision.image_size, folder);
}

std::vector<i64> SampleMaker::tokens_per_image(const data::ChatSample& chat) const {
  return std::vector<i64>(chat.media.size(), config_.features_per_image());
}

model::Sample SampleMaker::made(const data::ChatSample& chat, data::TokenizedSample tokens,
                                std::span<const data::Shift> shifts) const {
  model::Sample sample{
      .id = chat.where, .ids = std::move(tokens.ids), .labels = std::move(tokens.labels), .images = {}};
  for (std::size_t i = 0; i < tokens.image_positions.size(); ++i) {
    sample.images.push_back(
        std::make_shared<data::FileImage>(chat.media[i].frames.front(), recipe_, config_.image_layout(),
                                          shifts.empty() ? data::Shift{} : shifts[i], decode_, chat.where));
  }
  check_sample(sample, config_);
  return sample;
}

model::Sample SampleMaker::sample(const data::ChatSample& chat, data::EncodeCache& cache,
                                  std::span<const data::Shift> shifts) const {
  check(shifts.empty() || shifts.size() == chat.media.size(), "{} shifts for {} images", shifts.size(),
        chat.media.size());
  return made(chat, sample_tokenizer_.tokenize(chat, tokens_per_image(chat), cache), shifts);
}

std::optional<model::Sample> SampleMaker::sample_within(const data::ChatSample& chat,
                                                        data::EncodeCache& cache, i64 limit,
                                                        std::span<const data::Shift> shifts) const {
  model::Sample whole = sample(chat, cache, shifts);
  if (whole.tokens() > limit) return std::nullopt;
  return whole;
}

i64 SampleMaker::visual_tokens(const model::Sample& sample) const {
  return std::count(sample.ids.begin(), sample.ids.end(), config_.image_token);
}

model::Sample SampleMaker::prompt(const data::ChatSample& chat, data::EncodeCache& cache) const {
  return made(chat, sample_tokenizer_.tokenize_prompt(chat, tokens_per_image(chat), cache), {});
}

std::string SampleMaker::text(std::span<const i64> ids) const {
  std::vector<i64> known;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(known),
               [&](i64 id) { return id < tokenizer_.vocab_size() && !tokenizer_.token(id).empty(); });
  return tokenizer_.decode(known, true);
}

void SampleMaker::write_missing_files(const std::string& folder) const {
  const auto write = [&folder](const char* name, const nlohmann::ordered_json& json) {
    const std::string file = folder + "/" + name;
    if (!fs::exists(file)) io::write_file(file, json.dump(2) + "\n");
  };
  nlohmann::ordered_json preprocessor = json_of(recipe_);
  preprocessor["processor_class"] = "LlavaProcessor";
  write("preprocessor_config.json", preprocessor);
  write("processor_config.json",
        {{"processor_class", "LlavaProcessor"},
         {"image_token", tokenizer_.token(config_.image_token)},
         {"patch_size", config_.vision.patch},
         {"num_additional_image_tokens", 1},  // the class token, with both strategies
         {"vision_feature_select_strategy", config_.connector.drop_first_row ? "default" : "full"}});
  if (!fs::exists(folder + "/chat_template.jinja")) {
    write("chat_template.json", {{"chat_template", format_.chat_template}});
  }
  nlohmann::ordered_json generation{{"_from_model_config", true}};
  for (const auto& [key, id] :
       {std::pair("bos_token_id", tokenizer_.bos()), std::pair("eos_token_id", tokenizer_.eos()),
        std::pair("pad_token_id", tokenizer_.pad())}) {
    if (id) generation[key] = *id;
  }
  write("generation_config.json", generation);
}

}  // namespace longsight::launch
